import { bodies, everyone, type Step } from "#test/oracle/step";

const at = "/instances/{one}";
const long = "x".repeat(256);

/** Databases, users, grants and root of an instance that serves (contract §2.5). */
export const accounts: Step[] = [
  ...everyone(["member", "reader", "admin", "other", "nobody", "expired"], [`GET ${at}/databases`, `GET ${at}/users`, `GET ${at}/users/alice`, `GET ${at}/users/alice/databases`]),
  // Databases.
  ...bodies("member", `POST ${at}/databases`, [
    {}, { databases: null }, { databases: {} }, { databases: [{}] }, { databases: [{ name: "" }] }, { databases: [{ name: "--" }] }, { databases: [{ name: long }] },
    { databases: [{ name: "d1" }, { name: "d1" }] }, { databases: [{ name: "d1", collate: "" }] }, { databases: [{ name: 1 }] }, { database: { name: "d1" } }, { databases: ["d1"] },
    { databases: [{ name: "app" }] },
  ]),
  ["other", `POST ${at}/databases`, { databases: [{ name: "stolen" }] }],
  ["reader", `POST ${at}/databases`, { databases: [{ name: "read" }] }],
  ["member", `POST ${at}/databases`, { databases: [] }],
  ["member", `POST ${at}/databases`, { databases: [{ name: "d1" }, { name: "d2" }, { name: "d3", extra: 1 }, { name: "a-b" }, { name: "under 1" }] }],
  ["admin", `POST ${at}/databases`, { databases: [{ name: "by-admin" }] }],
  ["member", `GET ${at}/databases`],
  ...everyone(["member"], [`GET ${at}/databases?limit=2`, `GET ${at}/databases?limit=2&marker=app`, `GET ${at}/databases?limit=3&marker=d1`, `GET ${at}/databases?limit=100`, `GET ${at}/databases?limit=0`, `GET ${at}/databases?limit=x`]),
  ["member", `GET ${at}/databases/app`],
  ...everyone(["member"], [`DELETE ${at}/databases/nothing`, `DELETE ${at}/databases/d1`, `DELETE ${at}/databases/d1`, `DELETE ${at}/databases/d2`, `DELETE ${at}/databases/under%201`, `PUT ${at}/databases/app`, `DELETE ${at}/databases`]),
  ["other", `DELETE ${at}/databases/app`],
  ["reader", `DELETE ${at}/databases/app`],
  ["member", `GET ${at}/databases`],

  // Users.
  ...bodies("member", `POST ${at}/users`, [
    {}, { users: null }, { users: {} }, { users: [{}] }, { users: [{ name: "bob" }] }, { users: [{ password: "secret" }] }, { users: [{ name: "", password: "secret" }] },
    { users: [{ name: "bob", password: "" }] }, { users: [{ name: "bob", password: 1 }] }, { users: [{ name: "bob", password: "secret", host: "1/8" }] },
    { users: [{ name: "bob", password: "secret", databases: [{}] }] }, { users: [{ name: "bob", password: "secret", databases: ["app"] }] },
    { users: [{ name: "bob", password: "a" }, { name: "bob", password: "b" }] }, { users: [{ name: "alice", password: "secret" }] }, { users: [{ name: "os_admin", password: "secret" }] },
    { users: [{ name: "root", password: "secret" }] }, { user: { name: "bob", password: "secret" } },
  ]),
  ["other", `POST ${at}/users`, { users: [{ name: "thief", password: "secret" }] }],
  ["reader", `POST ${at}/users`, { users: [{ name: "read", password: "secret" }] }],
  ["member", `POST ${at}/users`, { users: [] }],
  ["member", `POST ${at}/users`, { users: [{ name: "bob", password: "secret-2", databases: [{ name: "app" }, { name: "logs" }] }, { name: "a.b", password: "secret-3", extra: 1 }] }],
  ["admin", `POST ${at}/users`, { users: [{ name: "carol", password: "secret-4", host: "%" }] }],
  ["member", `GET ${at}/users`, undefined, { unordered: true }],
  ...everyone(["member"], [`GET ${at}/users?limit=2`, `GET ${at}/users?limit=100`, `GET ${at}/users?limit=0`, `GET ${at}/users?limit=x`, `GET ${at}/users.json`, `GET ${at}/databases.json`, `GET ${at}/root.json`], { unordered: true }),
  ...everyone(["member", "admin", "reader"], [
    `GET ${at}/users/bob`, `GET ${at}/users/bob.json`, `GET ${at}/users/a.b`, `GET ${at}/users/a%2eb`, `GET ${at}/users/bob@%25`, `GET ${at}/users/nobody`, `GET ${at}/users/bob/databases`, `GET ${at}/users/bob/databases.json`,
    `GET ${at}/users/nobody/databases`, `GET ${at}/users/os_admin`, `GET ${at}/users/root`,
  ], { unordered: true }),
  ...bodies("member", `PUT ${at}/users/bob`, [{}, { user: null }, { user: {} }, { user: { name: "" } }, { user: { password: "" } }, { user: { host: "1/8" } }, { user: { name: "alice" } }, { user: { name: "os_admin" } }, { users: [] }]),
  ["member", `PUT ${at}/users/nobody`, { user: { password: "secret-5" } }],
  ["other", `PUT ${at}/users/bob`, { user: { password: "secret-5" } }],
  ["reader", `PUT ${at}/users/bob`, { user: { password: "secret-5" } }],
  ["member", `PUT ${at}/users/bob`, { user: { password: "secret-5" } }],
  ["member", `PUT ${at}/users/bob`, { user: { name: "robert" } }],
  ["member", `PUT ${at}/users/robert/update`, { user: { name: "bob", password: "secret-6" } }],
  ["member", `GET ${at}/users`, undefined, { unordered: true }],
  ...bodies("member", `PUT ${at}/users`, [{}, { users: null }, { users: [{}] }, { users: [{ name: "bob" }] }, { users: [{ name: "nobody", password: "secret" }] }, { users: [{ name: "os_admin", password: "secret" }] }, { users: [{ name: "bob", password: "secret" }, { name: "nobody", password: "secret" }] }, { users: [{ name: "bob", password: "" }] }]),
  ["member", `PUT ${at}/users`, { users: [{ name: "bob", password: "secret-7" }, { name: "carol", host: "%", password: "secret-8" }] }],
  ["member", `PUT ${at}/users/update_all`, { users: [{ name: "bob", password: "secret-9" }] }],
  ["other", `PUT ${at}/users`, { users: [{ name: "bob", password: "secret" }] }],

  // Grants.
  ...bodies("member", `PUT ${at}/users/carol/databases`, [{}, { databases: null }, { databases: [{}] }, { databases: ["app"] }]),
  ["member", `PUT ${at}/users/nobody/databases`, { databases: [{ name: "app" }] }],
  ["other", `PUT ${at}/users/carol/databases`, { databases: [{ name: "app" }] }],
  ["reader", `PUT ${at}/users/carol/databases`, { databases: [{ name: "app" }] }],
  ["member", `PUT ${at}/users/carol/databases`, { databases: [{ name: "app" }, { name: "logs" }] }],
  ["member", `PUT ${at}/users/carol/databases/update`, { databases: [{ name: "app" }] }],
  ["member", `GET ${at}/users/carol/databases`, undefined, { unordered: true }],
  ...everyone(["other", "reader"], [`DELETE ${at}/users/carol/databases/app`]),
  ...everyone(["member"], [`DELETE ${at}/users/carol/databases/nothing`, `DELETE ${at}/users/nobody/databases/app`, `DELETE ${at}/users/carol/databases/app`, `DELETE ${at}/users/carol/databases/app`, `DELETE ${at}/users/carol/databases`, `GET ${at}/users/carol/databases`, `GET ${at}/users/carol`]),
  ...everyone(["other", "reader"], [`DELETE ${at}/users/bob`]),
  ...everyone(["member"], [`DELETE ${at}/users/nobody`, `DELETE ${at}/users/os_admin`, `DELETE ${at}/users/bob`, `DELETE ${at}/users/bob`, `GET ${at}/users/bob`, `DELETE ${at}/users/a%2eb`, `GET ${at}/users`]),

  // Root.
  ...everyone(["member", "reader", "other", "nobody", "admin"], [`GET ${at}/root`]),
  ...everyone(["admin", "member"], ["GET /mgmt/instances/{one}/root"]),
  ["member", `DELETE ${at}/root`],
  ["reader", `POST ${at}/root`],
  ["other", `POST ${at}/root`],
  ["member", `POST ${at}/root`, { password: 5 }],
  ["member", `POST ${at}/root`],
  ["member", `GET ${at}/root`],
  ["member", `POST ${at}/root`, {}],
  ["member", `POST ${at}/root`, { password: "own-secret" }],
  ...everyone(["admin"], ["GET /mgmt/instances/{one}/root", "GET /mgmt/instances/{one}"]),
  ["member", `DELETE ${at}/root`],
  ["member", `GET ${at}/root`],
  ["member", `DELETE ${at}/root`],
  ["member", `POST ${at}/root`],
  ["member", `DELETE ${at}/root/delete`],
  ["member", `PUT ${at}/root`, {}],

  // One whose users the API does not manage, and one that is not there.
  ...everyone(["other"], ["GET /instances/{foreign}/users", "GET /instances/{foreign}/databases", "GET /instances/{foreign}/root", "POST /instances/{foreign}/root", "DELETE /instances/{foreign}/users/al"]),
  ["other", "POST /instances/{foreign}/users", { users: [{ name: "bob", password: "secret" }] }],
  ...everyone(["member", "admin"], ["GET /instances/nothing/users", "GET /instances/11111111-2222-4333-8444-555555555555/databases", "GET /instances/11111111-2222-4333-8444-555555555555/root", "DELETE /instances/nothing/users/al"]),
];
