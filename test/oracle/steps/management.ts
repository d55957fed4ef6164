import { nameId } from "#core/datastore/seed";
import { imageId } from "#test/oracle/catalogue";
import { bodies, everyone, type Step } from "#test/oracle/step";

const unknown = "11111111-2222-4333-8444-555555555555";
const version = nameId("postgresql", "17");
const idle = nameId("postgresql", "15");
const good = { name: "lts", datastore_name: "elephant", datastore_manager: "postgresql", active: true, image: imageId };
const cluster = { name: "c1", datastore: { type: "postgresql", version: "17" }, instances: [{ flavorRef: "1", volume: { size: 1 } }] };

/** What administrators offer, and clusters, of which there are none. The reference's fake Glance has every image. */
export const management: Step[] = [
  ...everyone(["member", "admin", "nobody"], ["GET /clusters", `GET /clusters/${unknown}`, `DELETE /clusters/${unknown}`, `GET /clusters/${unknown}/root`, "GET /mgmt/clusters", `GET /mgmt/clusters/${unknown}`]),
  ...bodies("member", "POST /clusters", [
    { cluster },
    { cluster: { ...cluster, name: "" } },
    { cluster: { ...cluster, datastore: { type: "postgresql" } } },
    { cluster: { ...cluster, datastore: { type: "nothing", version: "1" } } },
    { cluster: { ...cluster, datastore: { type: "postgresql", version: "99" } } },
    { cluster: { ...cluster, locality: "near" } },
    {},
  ]),
  ...bodies("member", `POST /clusters/${unknown}`, [{ restart: {} }, { grow: [{ flavorRef: "1" }] }, {}]),

  ...everyone(["admin", "member", "nobody"], [`GET /mgmt/datastore-versions/${version}`, `GET /mgmt/datastore-versions/${unknown}`]),
  ...everyone(["admin", "reader"], ["GET /mgmt/datastore-versions"], { unordered: true }),
  ...bodies("admin", "POST /mgmt/datastore-versions", [
    { version: { ...good, image: undefined } },
    { version: { ...good, image: "x" } },
    { version: { ...good, extra: 1 } },
    { version: { ...good, active: "yes" } },
    { version: { ...good, name: undefined } },
    { version: { ...good, image_tags: ["a", "a"] } },
    { version: { ...good, image_tags: ["a", "b", "c", "d", "e", "f"] } },
    { version: { ...good, packages: ["a", "a"] } },
    { version: good },
    { version: good },
    { version: { ...good, name: "next", version: "17.2", default: true } },
    {},
  ]),
  ["member", "POST /mgmt/datastore-versions", { version: good }],
  ["admin", "GET /datastores/elephant/versions", undefined, { shape: true }],
  ["member", "GET /datastores/elephant", undefined, { shape: true }],
  ...bodies("admin", `PATCH /mgmt/datastore-versions/${idle}`, [{}, { active: true }, { packages: ["a", "b"] }, { extra: 1 }, { registry_ext: "r", repl_strategy: "s" }, { active: false }]),
  ["admin", `GET /mgmt/datastore-versions/${idle}`],
  ["admin", `PATCH /mgmt/datastore-versions/${unknown}`, { active: true }],
  ...everyone(["admin", "member"], [`DELETE /mgmt/datastore-versions/${version}`, `DELETE /mgmt/datastore-versions/${unknown}`, "DELETE /datastores/postgresql", "DELETE /datastores/nothing"]),
  ["admin", `DELETE /mgmt/datastore-versions/${idle}`],
  ["admin", `GET /mgmt/datastore-versions/${idle}`],
  ["admin", "DELETE /datastores/couchdb"],
  ["admin", "GET /datastores/couchdb"],
];
