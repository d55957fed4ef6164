import * as z from "zod";
import * as Datastore from "#core/datastore/index";
import * as Parameters from "#core/datastore/parameters";
import { badRequest } from "#core/error";
import { param, taking, type Call, type Handler } from "#functions/api/call";
import { byId, store } from "#functions/api/catalogue";
import { nameString } from "#functions/api/fields";
import { managedParameterView, parameterView } from "#functions/api/views/parameter";

/** 0 or 1; true and false are refused (contract §2.0). */
const flag = z.union([z.literal(0), z.literal(1)]);
const size = z.union([z.int(), z.string().regex(/^-?[0-9]{1,15}$/).transform(Number)]);
const Rule = z.object({
  "configuration-parameter": z.object({ name: nameString.max(128), restart_required: flag, data_type: z.string().regex(/integer|string/), max_size: size.optional(), min_size: size.optional() }),
});

/** Contract §2.7: both bounds are needed for an integer, and mean nothing for a string. */
function ruleOf(wish: z.output<typeof Rule>): { name: string; rule: Parameters.ParameterRule } {
  const { name, restart_required, data_type, max_size, min_size } = wish["configuration-parameter"];
  const restartRequired = restart_required === 1;
  if (!data_type.includes("integer")) return { name, rule: { type: "string", restartRequired, min: null, max: null } };
  for (const [key, value] of Object.entries({ max_size, min_size })) {
    if (value === undefined) throw badRequest(`${key} is required for data_type integer.`, { reason: "parameter.size" });
  }
  const [max = 0, min = 0] = [max_size, min_size];
  if (max < min) throw badRequest("max_size must not be less than min_size.", { reason: "parameter.size" });
  return { name, rule: { type: "integer", restartRequired, min, max } };
}

/** Below a datastore inactive versions are found too (contract §2.9). */
const below = async (call: Call) => Datastore.pickVersion(await store(call), param(call, "version"));

const all = async ({ id }: Datastore.Version) => ({ "configuration-parameters": (await Parameters.listParameters(id)).map(parameterView) });
const one = async ({ id }: Datastore.Version, call: Call) => parameterView(await Parameters.getParameter(id, param(call, "parameter")));

/** What configuration groups may set. A single one comes without envelope (contract §2.7). */
export const parameters = {
  "GET /datastores/{datastore}/versions/{version}/parameters": async (call) => all(await below(call)),
  "GET /datastores/{datastore}/versions/{version}/parameters/{parameter}": async (call) => one(await below(call), call),
  "GET /datastores/versions/{version}/parameters": async (call) => all(await byId(call)),
  "GET /datastores/versions/{version}/parameters/{parameter}": async (call) => one(await byId(call), call),
  "GET /mgmt/datastores/versions/{version}/parameters": async (call) => {
    const { id } = await byId(call);
    return { "configuration-parameters": (await Parameters.listParameters(id)).map(managedParameterView) };
  },
  "GET /mgmt/datastores/versions/{version}/parameters/{parameter}": async (call) => {
    const { id } = await byId(call);
    return managedParameterView(await Parameters.getParameter(id, param(call, "parameter")));
  },
  "POST /mgmt/datastores/versions/{version}/parameters": taking(Rule, async (wish, call) => {
    const { name, rule } = ruleOf(wish);
    return managedParameterView(await Parameters.createParameter(await byId(call), name, rule));
  }),
  "PUT /mgmt/datastores/versions/{version}/parameters/{parameter}": taking(Rule, async (wish, call) => {
    const { rule } = ruleOf(wish);
    const { id } = await byId(call);
    return managedParameterView(await Parameters.updateParameter(id, param(call, "parameter"), rule));
  }),
  "DELETE /mgmt/datastores/versions/{version}/parameters/{parameter}": async (call) => {
    const { id } = await byId(call);
    await Parameters.deleteParameter(id, param(call, "parameter"));
  },
} satisfies Record<string, Handler>;
