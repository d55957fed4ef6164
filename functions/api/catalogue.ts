import * as Datastore from "#core/datastore/index";
import { removeStore } from "#core/datastore/manage";
import { badRequest, notFound } from "#core/error";
import * as Flavor from "#core/flavor/index";
import { param, type Call, type Handler } from "#functions/api/call";
import { datastoreView, versionView } from "#functions/api/views/datastore";
import { flavorView } from "#functions/api/views/flavor";

const active = (store: Datastore.Datastore) => store.versions.filter((version) => version.active);

export const store = async (call: Call) => Datastore.pick(await Datastore.list(), param(call, "datastore"));

/** The version that a path names, whatever the datastore beside it is called. */
async function versionAnywhere(call: Call) {
  const wanted = param(call, "version");
  const versions = (await Datastore.list()).flatMap((one) => one.versions);
  const found = versions.find((one) => one.id === wanted.toLowerCase()) ?? versions.find((one) => one.name === wanted);
  if (!found) throw badRequest(`Datastore version '${wanted}' cannot be found.`, { reason: "datastore.version_unknown" });
  return found;
}

/** The version with the id in the path. An unknown one is 400 here, unlike below a datastore (contract §4.2). */
export async function byId(call: Call) {
  const wanted = param(call, "version");
  const found = (await Datastore.list()).flatMap((one) => one.versions).find((one) => one.id === wanted.toLowerCase());
  if (!found) throw badRequest(`Datastore version '${wanted}' cannot be found.`, { reason: "datastore.version_unknown" });
  return found;
}

const flavorViews = async (call: Call) => ({ flavors: (await Flavor.list()).map((one) => flavorView(one, call)) });

/** Datastores, their versions and flavors: contract §2.9, §2.10. */
export const catalogue = {
  "GET /datastores": async (call) => {
    const stores = await Datastore.list();
    if (call.actor.isAdmin) return { datastores: stores.map((one) => datastoreView(one, one.versions, call)) };
    const visible = stores.filter((one) => active(one).length > 0);
    return { datastores: visible.map((one) => datastoreView(one, active(one), call)) };
  },
  "GET /datastores/{datastore}": async (call) => {
    const found = await store(call);
    return { datastore: datastoreView(found, active(found), call) };
  },
  "DELETE /datastores/{datastore}": (call) => removeStore(param(call, "datastore")),
  "GET /datastores/{datastore}/versions": async (call) => {
    const found = await store(call);
    const versions = call.actor.isAdmin ? found.versions : active(found);
    return { versions: versions.map((one) => versionView(one, call)) };
  },
  "GET /datastores/{datastore}/versions/{version}": async (call) => ({
    version: versionView(Datastore.pickVersion(await store(call), param(call, "version")), call),
  }),
  "GET /datastores/versions/{version}": async (call) => ({ version: versionView(await byId(call), call) }),
  "GET /datastores/{datastore}/versions/{version}/flavors": async (call) => {
    await versionAnywhere(call);
    return flavorViews(call);
  },
  "GET /datastores/{datastore}/versions/{version}/volume-types": async (call) => {
    await versionAnywhere(call);
    return { volume_types: [] };
  },
  "GET /flavors": flavorViews,
  "GET /flavors/{id}": async (call) => {
    const id = param(call, "id");
    const found = await Flavor.find(id);
    if (!found) throw notFound(`Flavor ${id} cannot be found.`, { reason: "flavor.unknown" });
    return { flavor: flavorView(found, call) };
  },
} satisfies Record<string, Handler>;
