import * as z from "zod";
import * as Configuration from "#core/configuration/index";
import { param, taking, type Handler } from "#functions/api/call";
import { datastoreChoice, nes, newChoice } from "#functions/api/fields";
import { idMarker, limitOf } from "#functions/api/paging";
import { groupListed, groupShown } from "#functions/api/views/configuration";

const name = nes.max(64);
const description = nes.max(256);
/** What the values may be is the parameters' to say: 422, not 400 (contract §2.7). */
const values = z.record(z.string(), z.unknown());

const Create = z.object({ configuration: z.object({ name, description: description.nullish(), values, datastore: datastoreChoice.optional() }) });
const Replace = z.object({ configuration: z.object({ name: name.optional(), description: description.optional(), values: values.optional() }) });
const Merge = z.object({ configuration: z.object({ values: values.optional() }) });

const page = (call: Parameters<Handler>[0]) => {
  const marker = idMarker(call);
  return { limit: limitOf(call), ...(marker !== undefined && { marker }) };
};

/** Configuration groups: contract §2.7, §6.11. */
export const configurations = {
  "GET /configurations": async (call) => {
    const { rows, next } = await Configuration.list(page(call));
    return { configurations: rows.map(groupListed), ...call.links.next(next) };
  },
  "POST /configurations": taking(Create, async ({ configuration: wish }, call) => {
    const created = await Configuration.create(
      { name: wish.name, ...(wish.description && { description: wish.description }), datastore: newChoice(wish.datastore), values: wish.values },
      call.config.COFFER_DEFAULT_DATASTORE,
    );
    return { configuration: groupShown(created, 0) };
  }),
  "GET /configurations/{id}": async (call) => {
    const found = await Configuration.get(param(call, "id"));
    return { configuration: groupShown(found, await Configuration.countInstances(found.group.id)) };
  },
  "PUT /configurations/{id}": taking(Replace, async ({ configuration: wish }, call) => {
    const change = { ...(wish.name !== undefined && { name: wish.name }), ...(wish.description !== undefined && { description: wish.description }), values: wish.values ?? {} };
    await Configuration.replace(param(call, "id"), change, call.reach);
  }),
  "PATCH /configurations/{id}": taking(Merge, async ({ configuration: wish }, call) => {
    await Configuration.merge(param(call, "id"), wish.values ?? {}, call.reach);
  }),
  "DELETE /configurations/{id}": (call) => Configuration.remove(param(call, "id")),
  "GET /configurations/{id}/instances": async (call) => {
    const { rows, next } = await Configuration.instancesOf(param(call, "id"), page(call));
    return { instances: rows, ...call.links.next(next) };
  },
} satisfies Record<string, Handler>;
