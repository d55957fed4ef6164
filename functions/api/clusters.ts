import * as z from "zod";
import * as Datastore from "#core/datastore/index";
import { AppError, notFound } from "#core/error";
import { param, taking, type Call, type Handler } from "#functions/api/call";
import { flavorRef, nes, newChoice, nics, uuid, volume } from "#functions/api/fields";
import { idMarker, limitOf } from "#functions/api/paging";

const member = { flavorRef, volume: volume.optional(), nics: nics.optional(), availability_zone: nes.optional(), modules: z.array(z.object({ id: uuid })).optional(), region_name: nes.optional() };
const count = z.union([z.int().min(0), z.string().regex(/^[0-9]{1,9}$/)]).optional();

/** Contract §2.11. */
const Create = z.object({
  cluster: z.object({
    name: nes,
    datastore: z.looseObject({ type: nes, version: nes }),
    instances: z.array(z.object(member)),
    // Which there are is asked after whether the datastore forms clusters at all, as upstream does.
    locality: z.string().optional(),
    extended_properties: z
      .looseObject({ num_configsvr: count, num_mongos: count, configsvr_volume_size: count, configsvr_volume_type: nes.optional(), mongos_volume_size: count, mongos_volume_type: nes.optional() })
      .optional(),
    configuration: nes.optional(),
  }),
});

const payload = z.looseObject({});
/** Contract §5.8: exactly one action. */
const Action = z.union([
  z.strictObject({ grow: z.array(z.object({ ...member, name: nes.optional(), related_to: nes.optional(), type: nes.optional() })).min(1) }),
  z.strictObject({ shrink: z.array(z.object({ id: uuid })).min(1) }),
  z.strictObject({ upgrade: z.object({ datastore_version: nes }) }),
  z.strictObject({ restart: payload }),
  z.strictObject({ configuration_attach: z.object({ configuration_id: nes }) }),
  z.strictObject({ configuration_detach: payload }),
  z.strictObject({ add_shard: payload }),
  z.strictObject({ "reset-status": payload }),
]);
const Reset = z.strictObject({ "reset-task": payload });

/** Only some engines form clusters (contract §5.8), and none of those is served here: so there is no cluster to be found. */
const none = (call: Call) => notFound(`Cluster ${param(call, "id")} cannot be found.`, { reason: "cluster.unknown" });
const missing: Handler = (call) => Promise.reject(none(call));

const noClusters: Handler = async (call) => {
  limitOf(call);
  idMarker(call);
  return { clusters: [] };
};

export const clusters = {
  "GET /clusters": noClusters,
  "POST /clusters": taking(Create, async ({ cluster: { datastore } }, call) => {
    const { store } = Datastore.resolve(await Datastore.list(), newChoice({ type: datastore.type, version: datastore.version }), call.config.COFFER_DEFAULT_DATASTORE);
    throw new AppError("notImplemented", `Clusters are not supported for datastore '${store.name}'.`, { reason: "cluster.unsupported", next: "Create an instance instead." });
  }),
  "GET /clusters/{id}": missing,
  "POST /clusters/{id}": taking(Action, (_, call) => missing(call)),
  "DELETE /clusters/{id}": missing,
  "GET /clusters/{id}/instances/{instance_id}": missing,
  "GET /clusters/{id}/root": missing,
  "POST /clusters/{id}/root": missing,
  "GET /mgmt/clusters": async () => ({ clusters: [] }),
  "GET /mgmt/clusters/{id}": missing,
  "POST /mgmt/clusters/{id}/action": taking(Reset, (_, call) => missing(call)),
} satisfies Record<string, Handler>;
