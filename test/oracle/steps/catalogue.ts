import { nameId } from "#core/datastore/seed";
import { everyone, type Step } from "#test/oracle/step";

const store = nameId("postgresql");
const version = nameId("postgresql", "17");
const idle = nameId("postgresql", "15");
const unknown = "11111111-2222-4333-8444-555555555555";

/** Datastores, versions, flavors and limits: what can be ordered. */
export const catalogue: Step[] = [
  ...everyone(["member", "reader", "admin", "nobody", "expired"], ["GET /datastores", "GET /datastores/postgresql"], { unordered: true }),
  ...everyone(["member", "admin"], [
    `GET /datastores/${store}`,
    "GET /datastores/couchdb",
    "GET /datastores/redis",
    "GET /datastores/nothing",
    `GET /datastores/${unknown}`,
    "GET /datastores/POSTGRESQL",
    "GET /datastores/postgresql/versions/17",
    `GET /datastores/postgresql/versions/${version}`,
    `GET /datastores/${store}/versions/${version}`,
    `GET /datastores/${store}/versions/15`,
    `GET /datastores/postgresql/versions/${idle}`,
    `GET /datastores/redis/versions/${version}`,
    "GET /datastores/postgresql/versions/99",
    `GET /datastores/postgresql/versions/${unknown}`,
    "GET /datastores/nothing/versions",
    "GET /datastores/nothing/versions/17",
    `GET /datastores/versions/${version}`,
    `GET /datastores/versions/${idle}`,
    `GET /datastores/versions/${unknown}`,
    "GET /datastores/versions/17",
    `GET /datastores/postgresql/versions/${version.toUpperCase()}`,
  ]),
  ...everyone(["member", "admin", "nobody"], ["GET /datastores/postgresql/versions", `GET /datastores/${store}/versions`, "GET /datastores/couchdb/versions"], { unordered: true }),
  ...everyone(["member", "admin", "nobody"], ["GET /flavors", `GET /datastores/postgresql/versions/${version}/flavors`, `GET /datastores/nothing/versions/${version}/flavors`], { unordered: true }),
  ...everyone(["member"], [
    `GET /datastores/postgresql/versions/${unknown}/flavors`,
    "GET /datastores/postgresql/versions/99/flavors",
    `GET /datastores/postgresql/versions/${version}/volume-types`,
    `GET /datastores/postgresql/versions/${unknown}/volume-types`,
    "GET /flavors/1",
    "GET /flavors/11",
    "GET /flavors/custom",
    "GET /flavors/99",
    "GET /flavors/nothing",
    "GET /flavors/01",
    "GET /flavors/1/x",
    "GET /limits",
    "GET /limits/x",
  ]),
  ...everyone(["admin", "reader", "other", "nobody", "expired"], ["GET /flavors/1", "GET /limits"]),
];
