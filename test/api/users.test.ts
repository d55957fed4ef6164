import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { until } from "#test/support/cluster";
import { like, nobody, startApi, type Api } from "#test/api/rig";

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterEach(() => {
  api.sleep(false);
  api.cannot.clear();
});
afterAll(() => api.close());

const users = (...names: string[]) => ({ body: { users: names.map((name) => ({ name, password: "p1" })) } });
const databases = (...names: string[]) => ({ body: { databases: names.map((name) => ({ name })) } });

/** The instance's guest has done all it was asked for. */
const quiet = (id: string) => until(async () => (await api.jobs(id)).every(({ state }) => state !== "queued"), "the guest");

test("databases are created, listed and deleted", async () => {
  const id = await api.active();
  const created = await api.ask("member", `POST /instances/${id}/databases`, {
    body: { databases: [{ name: "shop", character_set: "utf8", collate: "C" }, { name: "blog" }] },
  });
  expect([created.status, created.text]).toEqual([202, ""]);
  expect(api.rings).toContain(id);
  await quiet(id);
  expect((await api.ask("reader", `GET /instances/${id}/databases`)).json).toEqual({ databases: [{ name: "blog" }, { name: "shop" }] });
  expect((await api.ask("member", `DELETE /instances/${id}/databases/shop`)).status).toBe(202);
  await quiet(id);
  expect((await api.ask("member", `GET /instances/${id}/databases`)).json).toEqual({ databases: [{ name: "blog" }] });
  expect((await api.ask("member", `GET /instances/${id}/databases/blog`)).status).toBe(501);
});

test("an empty list is accepted and asks the guest for nothing", async () => {
  const id = await api.active();
  expect((await api.ask("member", `POST /instances/${id}/databases`, databases())).status).toBe(202);
  expect((await api.ask("member", `POST /instances/${id}/users`, users())).status).toBe(202);
  expect((await api.ask("member", `PUT /instances/${id}/users`, users())).status).toBe(202);
  expect((await api.jobs(id)).map(({ kind }) => kind)).toEqual(["prepare"]);
});

test.each<[string, object, number, RegExp]>([
  ["POST databases", databases("postgres"), 400, /reserved/],
  ["POST databases", databases("there"), 400, /'there' exists already/],
  ["POST databases", databases("ab", "ab"), 400, /twice/],
  ["POST databases", databases("a"), 400, /shorter than 2/],
  ["POST databases", databases("ab "), 400, /blank/],
  ["POST databases", databases("x".repeat(64)), 400, /63 bytes/],
  ["POST databases", { body: { database: { name: "x" } } }, 400, /'databases' is a required property/],
  ["POST databases", {}, 400, /needs a JSON body/],
  ["DELETE databases/os_admin", {}, 400, /reserved/],
  ["DELETE databases/nowhere", {}, 404, /'nowhere'/],
  ["POST users", users("coffer_owner"), 400, /reserved/],
  ["POST users", users("root"), 400, /reserved/],
  ["POST users", users("pg_x"), 400, /reserved/],
  ["POST users", users("alice"), 400, /'alice' exists already/],
  ["POST users", users("new", "new"), 400, /twice/],
  ["POST users", { body: { users: [{ name: "new" }] } }, 400, /users\[0\] 'password' is a required property/],
  ["POST users", { body: { users: [{ name: "new", password: "p", host: "10.0.0.0/8" }] } }, 400, /host/],
  ["GET users/os_admin", {}, 400, /reserved/],
  ["GET users/bob", {}, 404, /'bob'/],
  ["DELETE users/bob", {}, 404, /'bob'/],
  ["DELETE users/postgres", {}, 400, /reserved/],
  ["PUT users/bob", { body: { user: { password: "x1" } } }, 404, /'bob'/],
  ["PUT users/alice", { body: { user: {} } }, 400, /does not have enough properties/],
  ["PUT users/alice", { body: { user: { name: "carl" } } }, 400, /'carl' exists already/],
  ["PUT users/alice", { body: { user: { name: "postgres" } } }, 400, /reserved/],
  ["GET users/bob/databases", {}, 404, /'bob'/],
  ["PUT users/bob/databases", databases("there"), 404, /'bob'/],
  ["DELETE users/alice/databases/there", {}, 404, /'there'/],
])("%s with %j answers %i and asks the guest for nothing", async (line, extra, status, text) => {
  const id = await api.active({
    databases: [{ name: "there" }],
    users: [{ name: "alice", password: "p1" }, { name: "carl", password: "p1" }],
  });
  const reply = await api.ask("member", line.replace(" ", ` /instances/${id}/`), extra);
  expect([reply.status, reply.text]).toEqual([status, like(text)]);
  expect(await api.jobs(id)).toHaveLength(1);
});

test("users are created, shown, changed and deleted, and no password reaches the database", async () => {
  const id = await api.active({ databases: [{ name: "shop" }, { name: "blog" }] });
  api.sleep(true);
  const created = await api.ask("member", `POST /instances/${id}/users`, {
    body: { users: [{ name: "alice", password: "correct horse", host: "%", databases: [{ name: "shop" }] }] },
  });
  expect([created.status, created.text]).toEqual([202, ""]);
  expect(JSON.stringify(await api.jobs(id))).not.toContain("horse");
  await api.guestActs(id);
  api.sleep(false);
  const alice = { name: "alice", host: "%", databases: [{ name: "shop" }] };
  expect((await api.ask("member", `GET /instances/${id}/users`)).json).toEqual({ users: [alice] });
  expect((await api.ask("member", `GET /instances/${id}/users/alice`)).json).toEqual({ user: alice });
  expect((await api.ask("member", `GET /instances/${id}/users/alice%40%25`)).json).toEqual({ user: alice });
  expect((await api.ask("member", `GET /instances/${id}/users/alice/databases`)).json).toEqual({ databases: [{ name: "shop" }] });

  const renamed = await api.ask("member", `PUT /instances/${id}/users/alice`, { body: { user: { name: "alicia", password: "new horse" } } });
  expect([renamed.status, renamed.text]).toEqual([202, ""]);
  await quiet(id);
  expect((await api.ask("member", `GET /instances/${id}/users/alicia`)).status).toBe(200);
  const bulk = { body: { users: [{ name: "alicia", password: "p2" }] } };
  for (const path of ["users", "users/update_all"]) expect((await api.ask("member", `PUT /instances/${id}/${path}`, bulk)).status).toBe(202);
  expect((await api.ask("member", `PUT /instances/${id}/users/alicia/update`, { body: { user: { password: "p3" } } })).status).toBe(202);
  expect((await api.ask("member", `DELETE /instances/${id}/users/alicia`)).status).toBe(202);
  await quiet(id);
  expect((await api.ask("member", `GET /instances/${id}/users`)).json).toEqual({ users: [] });
  expect((await api.jobs(id)).map(({ kind }) => kind)).toEqual([
    "prepare", "create_users", "update_user", "change_passwords", "change_passwords", "update_user", "delete_user",
  ]);
});

test("if one user of a bulk password change is unknown, nothing is changed", async () => {
  const id = await api.active({ users: [{ name: "alice", password: "p1" }] });
  const reply = await api.ask("member", `PUT /instances/${id}/users`, users("alice", "bob"));
  expect([reply.status, (await api.jobs(id)).length]).toEqual([404, 1]);
});

test("grants and revokes are done when the reply comes", async () => {
  const id = await api.active({ databases: [{ name: "shop" }, { name: "blog" }], users: [{ name: "alice", password: "p1" }] });
  for (const path of ["databases", "databases/update"]) {
    const reply = await api.ask("member", `PUT /instances/${id}/users/alice/${path}`, databases("shop", "blog"));
    expect([reply.status, reply.text]).toEqual([202, ""]);
  }
  const granted = await api.ask("member", `GET /instances/${id}/users/alice/databases`);
  expect(granted.json).toEqual({ databases: [{ name: "shop" }, { name: "blog" }] });
  expect((await api.ask("member", `DELETE /instances/${id}/users/alice/databases/blog`)).status).toBe(202);
  expect((await api.ask("member", `GET /instances/${id}/users/alice/databases`)).json).toEqual({ databases: [{ name: "shop" }] });
});

test("what the guest cannot do is a 400 in its own words", async () => {
  const id = await api.active({ users: [{ name: "alice", password: "p1" }] });
  api.cannot.add("grant");
  const reply = await api.ask("member", `PUT /instances/${id}/users/alice/databases`, databases("nowhere"));
  expect([reply.status, reply.json]).toEqual([400, { badRequest: { code: 400, message: "the guest cannot grant" } }]);
});

test("requests are judged as if those accepted before had ended", async () => {
  const id = await api.active();
  api.sleep(true);
  const post = () => api.ask("member", `POST /instances/${id}/users`, users("bob"));
  expect((await post()).status).toBe(202);
  expect((await post()).status).toBe(400);
  expect((await api.ask("member", `PUT /instances/${id}/users/bob`, { body: { user: { name: "rob" } } })).status).toBe(202);
  expect((await api.ask("member", `DELETE /instances/${id}/users/bob`)).status).toBe(404);
  expect((await api.ask("member", `DELETE /instances/${id}/users/rob`)).status).toBe(202);
  expect((await post()).status).toBe(202);
  // The list says what is, not what will be.
  expect((await api.ask("member", `GET /instances/${id}/users`)).json).toEqual({ users: [] });
});

test("ten users created at once are all accepted and all exist", async () => {
  const id = await api.active();
  const names = Array.from({ length: 10 }, (_, n) => `user${n}`);
  const replies = await Promise.all(names.map((name) => api.ask("member", `POST /instances/${id}/users`, users(name))));
  expect(replies.map(({ status }) => status)).toEqual(names.map(() => 202));
  await quiet(id);
  const list = (await api.ask("member", `GET /instances/${id}/users`)).json.users as { name: string }[];
  expect(list.map(({ name }) => name)).toEqual(names);
});

test("of ten requests for one name exactly one is accepted", async () => {
  const id = await api.active();
  const replies = await Promise.all(Array.from({ length: 10 }, () => api.ask("member", `POST /instances/${id}/databases`, databases("same"))));
  expect(replies.map(({ status }) => status).sort()).toEqual([202, ...Array.from({ length: 9 }, () => 400)]);
});

const hostile = ["a.b", "u1.json", "a b", "100%", "%40", "a%2eb", "what?", "a#b", "a/b", "../x", "a@b", "@a", "a@", "Zoë", "数据1", "x'; drop table y --", "a\"b", "a\\b", "__proto__", "constructor", "a+b", "a&limit=1"];

test.each(hostile)("a user and a database called %s can be created, found, and deleted by name", async (name) => {
  const id = await api.active();
  expect((await api.ask("member", `POST /instances/${id}/databases`, databases(name))).status).toBe(202);
  expect((await api.ask("member", `POST /instances/${id}/users`, { body: { users: [{ name, password: "p1", databases: [{ name }] }] } })).status).toBe(202);
  await quiet(id);
  const path = `/instances/${id}/users/${encodeURIComponent(name)}`;
  expect((await api.ask("member", `GET ${path}`)).json).toEqual({ user: { name, host: "%", databases: [{ name }] } });
  expect((await api.ask("member", `DELETE ${path}/databases/${encodeURIComponent(name)}`)).status).toBe(202);
  expect((await api.ask("member", `DELETE ${path}`)).status).toBe(202);
  expect((await api.ask("member", `DELETE /instances/${id}/databases/${encodeURIComponent(name)}`)).status).toBe(202);
  await quiet(id);
  expect((await api.ask("member", `GET /instances/${id}/users`)).json).toEqual({ users: [] });
  expect((await api.ask("member", `GET /instances/${id}/databases`)).json).toEqual({ databases: [] });
});

test("lists page by name, and the next link leads through names that need encoding", async () => {
  const names = ["a b", "a&b", "b", "c%", "d"];
  const id = await api.active({ users: names.map((name) => ({ name, password: "p1" })), databases: names.map((name) => ({ name: `${name}${name}x` })) });
  for (const kind of ["users", "databases"]) {
    const seen: string[] = [];
    let path = `/instances/${id}/${kind}?limit=2`;
    for (let pages = 0; path; pages++) {
      const { json } = await api.ask("member", `GET ${path}`, { headers: { host: "h" } });
      seen.push(...(json[kind] as { name: string }[]).map(({ name }) => name));
      path = json.links?.[0]?.href.replace("http://h/v1.0/p1", "") ?? "";
      expect(pages).toBeLessThan(3);
    }
    expect(seen).toEqual(kind === "users" ? names : names.map((name) => `${name}${name}x`));
  }
  expect((await api.ask("member", `GET /instances/${id}/users?limit=0`)).status).toBe(400);
});

test("without an engine that answers, users, databases and root are refused with 422", async () => {
  const early = await api.create();
  const id = await api.active({ users: [{ name: "alice", password: "p1" }] });
  for (const serviceStatus of ["shutdown", "restart_required", "unknown"]) {
    await api.put(id, { service_status: serviceStatus });
    for (const line of ["GET users", "GET databases", "GET root", "GET users/alice", "DELETE users/alice"]) {
      const reply = await api.ask("member", line.replace(" ", ` /instances/${id}/`));
      expect([reply.status, reply.text]).toEqual([422, like(/does not answer/)]);
    }
  }
  expect((await api.ask("member", `POST /instances/${id}/users`, users("bob"))).status).toBe(422);
  const notReady = await api.ask("member", `GET /instances/${early}/users`);
  expect([notReady.status, notReady.text]).toEqual([422, like(/is not ready/)]);
  expect((await api.ask("member", `GET /instances/${nobody}/users`)).status).toBe(404);
});

test("users and databases of a foreign instance are a 404", async () => {
  const id = await api.active({ users: [{ name: "alice", password: "p1" }] });
  for (const line of ["GET users", "GET databases", "GET users/alice", "DELETE users/alice", "GET root", "DELETE root"]) {
    expect((await api.ask("other", line.replace(" ", ` /instances/${id}/`))).status).toBe(404);
  }
  expect((await api.ask("admin", `GET /instances/${id}/users/alice`)).status).toBe(200);
});
