import * as z from "zod";
import { badRequest } from "#core/error";
import * as Modules from "#core/module/index";
import { param, taking, type Call, type Handler } from "#functions/api/call";
import { modules as wanted, nes } from "#functions/api/fields";
import { flag, idMarker, limitOf } from "#functions/api/paging";
import { listed } from "#functions/api/views/instance";
import { moduleApplied, moduleListed, moduleShown, versionCounted } from "#functions/api/views/module";

/** 0 or 1: what clients send for a flag (contract §10.1). */
const bit = z.int().min(0).max(1).transform(Boolean);
/** Longer than any contents that are accepted, in base64. */
const contents = z.string().min(1).max(64 * 1024);
const fields = {
  description: nes.optional(),
  datastore: z.object({ type: nes.optional(), version: nes.optional() }).optional(),
  auto_apply: bit.optional(),
  all_tenants: bit.optional(),
  visible: bit.optional(),
  live_update: bit.optional(),
  priority_apply: bit.optional(),
  apply_order: z.int().min(0).max(9).optional(),
  full_access: bit.optional(),
};

/** Contract §2.8. */
const Create = z.object({ module: z.object({ ...fields, name: nes, module_type: nes, contents }) });
/** troveclient says `type` as well: it is not heard (contract §10.1). */
const Update = z.object({
  module: z.object({ ...fields, name: nes.optional(), module_type: nes.optional(), contents: contents.optional(), all_datastores: bit.optional(), all_datastore_versions: bit.optional() }),
});
const Apply = z.object({ modules: wanted });
const Reapply = z.object({
  reapply: z.object({
    md5: z.string().min(1).max(64).nullish(),
    include_clustered: z.unknown().optional(),
    batch_size: z.int().min(1).nullish(),
    batch_delay: z.int().min(0).max(86_400).nullish(),
    force: z.union([bit, z.boolean()]).nullish(),
  }),
});

const createModule = taking(Create, async ({ module: wish }, call) => {
  const created = await Modules.create(
    {
      name: wish.name,
      type: wish.module_type,
      contents: wish.contents,
      description: wish.description ?? null,
      datastore: { type: wish.datastore?.type ?? null, version: wish.datastore?.version ?? null },
      shared: wish.all_tenants ?? false,
      autoApply: wish.auto_apply ?? false,
      visible: wish.visible ?? true,
      liveUpdate: wish.live_update ?? false,
      priorityApply: wish.priority_apply ?? false,
      applyOrder: wish.apply_order ?? 5,
      ...(wish.full_access !== undefined && { fullAccess: wish.full_access }),
    },
    call.seal,
  );
  return { module: moduleShown(created) };
});

const updateModule = taking(Update, async ({ module: wish }, call) => {
  const updated = await Modules.update(
    param(call, "id"),
    {
      ...given("name", wish.name),
      ...given("type", wish.module_type),
      ...given("contents", wish.contents),
      ...given("description", wish.description),
      ...given("shared", wish.all_tenants),
      ...given("autoApply", wish.auto_apply),
      ...given("visible", wish.visible),
      ...given("liveUpdate", wish.live_update),
      ...given("priorityApply", wish.priority_apply),
      ...given("applyOrder", wish.apply_order),
      ...given("fullAccess", wish.full_access),
      datastore: {
        ...either("type", wish.datastore?.type, "all_datastores", wish.all_datastores !== undefined),
        ...either("version", wish.datastore?.version, "all_datastore_versions", wish.all_datastore_versions !== undefined),
      },
    },
    call.seal,
  );
  return { module: moduleShown(updated) };
});

const given = <K extends string, V>(key: K, value: V | undefined) => (value === undefined ? {} : ({ [key]: value } as Record<K, V>));

/** A new binding, or none: that `all_…` is there says so, whatever its value, as upstream. */
function either<K extends "type" | "version">(key: K, value: string | undefined, all: string, isAll: boolean) {
  if (value !== undefined && isAll) throw badRequest(`datastore.${key} and ${all} cannot both be given.`, { reason: "module.datastore" });
  return isAll ? ({ [key]: null } as Record<K, null>) : given(key, value);
}

const instancesOf: Handler = async (call) => {
  const id = param(call, "id");
  if (flag(call, "count_only")) return { instances: (await Modules.countByVersion(id)).map(versionCounted) };
  const marker = idMarker(call);
  const { rows, next } = await Modules.instancesOf(id, { limit: limitOf(call), ...(marker !== undefined && { marker }) });
  return { instances: rows.map((row) => listed(row, call)), ...call.links.next(next) };
};

const reapply = taking(Reapply, async ({ reapply: wish }, call) => {
  await Modules.reapply(
    param(call, "id"),
    {
      force: wish.force ?? false,
      ...(wish.md5 && { md5: wish.md5 }),
      ...(wish.batch_size && { batchSize: wish.batch_size }),
      ...(typeof wish.batch_delay === "number" && { batchDelaySeconds: wish.batch_delay }),
    },
    call.reach.doorbell,
  );
});

/** Any text is a yes, even "false" (contract §0.7). What the guest said last is what there is, asked for or not. */
const withContents = ({ query, seal }: Call) => ((query.get("include_contents") ?? "") === "" ? undefined : seal);

/** Modules: contract §2.8, §5.7. */
export const modules = {
  "GET /modules": async (call) => ({ modules: (await Modules.list(call.query.get("datastore") ?? undefined)).map(moduleListed) }),
  "POST /modules": createModule,
  "GET /modules/{id}": async (call) => {
    const found = await Modules.get(param(call, "id"));
    return { module: { ...moduleShown(found), instance_count: await Modules.countInstances(found.module) } };
  },
  "PUT /modules/{id}": updateModule,
  "DELETE /modules/{id}": (call) => Modules.remove(param(call, "id")),
  "GET /modules/{id}/instances": instancesOf,
  "PUT /modules/{id}/instances": reapply,
  "GET /instances/{id}/modules": async (call) => ({ modules: (await Modules.applied(param(call, "id"))).map((one) => moduleApplied(one, withContents(call))) }),
  "POST /instances/{id}/modules": taking(Apply, async (wish, call) => {
    const ids = wish.modules.map(({ id }) => id);
    return { modules: (await Modules.apply(param(call, "id"), ids, call.reach)).map((one) => moduleApplied(one)) };
  }),
  "DELETE /instances/{id}/modules/{module_id}": (call) => Modules.take(param(call, "id"), param(call, "module_id"), call.reach),
} satisfies Record<string, Handler>;
