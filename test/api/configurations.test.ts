import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { like, nobody, startApi, type Api, type Person } from "#test/api/rig";

let api: Api;
beforeAll(async () => {
  api = await startApi({ settings: { COFFER_PAGE_SIZE: "3", COFFER_GUEST_WAIT_MS: "1500" } });
});
afterEach(() => {
  api.sleep(false);
  api.cannot.clear();
});
afterAll(() => api.close());

interface Shown extends Record<string, unknown> {
  id: string;
  values: Record<string, unknown>;
  instance_count: number;
}
const shown = (reply: { json: unknown }) => (reply.json as { configuration: Shown }).configuration;
const wish = (values: Record<string, unknown>, rest: Record<string, unknown> = {}) => ({ body: { configuration: { name: "tuned", values, ...rest } } });
const make = async (values: Record<string, unknown> = {}, rest: Record<string, unknown> = {}, person: Person = "member") => {
  const reply = await api.ask(person, "POST /configurations", wish(values, rest));
  if (reply.status !== 200) throw new Error(reply.text);
  return shown(reply);
};
const show = async (id: string) => shown(await api.ask("member", `GET /configurations/${id}`));
const status = async (id: string) => (await api.ask("member", `GET /instances/${id}`)).json.instance.status;
const change = (id: string, instance: Record<string, unknown>) => api.ask("member", `PUT /instances/${id}`, { body: { instance } });
const lastSpec = async (id: string) => (await api.db.owner`select spec, kind from guest_job where instance_id = ${id} order by seq desc limit 1`)[0];

describe("groups", () => {
  test("a group is created, shown, listed and deleted, in Trove's form", async () => {
    const created = await make({ MAX_CONNECTIONS: 101, work_mem: "8MB", autovacuum: false, password_encryption: "scram-sha-256" }, { description: "for orders", datastore: { type: "postgresql", version: "16" } });
    expect(created).toEqual({
      id: like(/^[0-9a-f-]{36}$/),
      name: "tuned",
      description: "for orders",
      created: like(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/),
      updated: like(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/),
      datastore_version_id: like(/^[0-9a-f-]{36}$/),
      datastore_name: "postgresql",
      datastore_version_name: "16",
      datastore_version_number: "16.14",
      values: { max_connections: 101, work_mem: "8MB", autovacuum: false, password_encryption: "***" },
      instance_count: 0,
    });
    expect(await show(created.id)).toEqual(created);
    const only = ["values", "instance_count", "datastore_version_number"];
    const listed = Object.fromEntries(Object.entries(created).filter(([key]) => !only.includes(key)));
    expect((await api.ask("reader", "GET /configurations")).json).toEqual({ configurations: [listed] });
    expect((await api.ask("other", `GET /configurations/${created.id}`)).status).toBe(404);
    expect((await api.ask("other", "GET /configurations")).json).toEqual({ configurations: [] });
    expect((await api.ask("admin", "GET /configurations")).json).toEqual({ configurations: [listed] });
    expect((await api.ask("other", `DELETE /configurations/${created.id}`)).status).toBe(404);
    const gone = await api.ask("member", `DELETE /configurations/${created.id}`);
    expect([gone.status, gone.text]).toEqual([202, ""]);
    expect((await api.ask("member", `GET /configurations/${created.id}`)).status).toBe(404);
    expect((await api.ask("member", `DELETE /configurations/${created.id}`)).status).toBe(404);
  });

  test("PUT replaces name, description and values; without values it empties them; PATCH merges values only", async () => {
    const { id } = await make({ work_mem: 4096, jit: true });
    const put = await api.ask("member", `PUT /configurations/${id}`, { body: { configuration: { name: "other", description: "d", values: { work_mem: 5000, geqo: false } } } });
    expect([put.status, put.text]).toEqual([202, ""]);
    expect(await show(id)).toMatchObject({ name: "other", description: "d", values: { work_mem: 5000, geqo: false } });
    const patched = await api.ask("member", `PATCH /configurations/${id}`, { body: { configuration: { name: "ignored", values: { geqo: true, jit: false } } } });
    expect([patched.status, patched.text]).toEqual([200, ""]);
    expect(await show(id)).toMatchObject({ name: "other", values: { work_mem: 5000, geqo: true, jit: false } });
    expect((await api.ask("member", `PUT /configurations/${id}`, { body: { configuration: {} } })).status).toBe(202);
    expect((await show(id)).values).toEqual({});
    for (const method of ["PUT", "PATCH"]) expect((await api.ask("other", `${method} /configurations/${id}`, { body: { configuration: {} } })).status).toBe(404);
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    ["an unknown parameter", { nonsense: 1 }, /parameter nonsense is not supported for datastore version 17/],
    ["text for an integer", { max_connections: "many" }, /max_connections is not of type integer/],
    ["digits as text where there is no unit", { max_connections: "100" }, /not of type integer/],
    ["a fraction for an integer", { max_connections: 1.5 }, /not of type integer/],
    ["null", { max_connections: null }, /not of type integer/],
    ["a list", { work_mem: [1] }, /not of type integer/],
    ["a number for a boolean", { autovacuum: 1 }, /autovacuum is not of type boolean/],
    ["text for a boolean", { autovacuum: "off" }, /not of type boolean/],
    ["a boolean for a float", { random_page_cost: true }, /not of type float/],
    ["less than the least", { max_connections: 0 }, /less than the minimum of 1/],
    ["more than the most", { work_mem: "2147483648kB" }, /greater than the maximum of 2147483647kB/],
    ["a unit of another kind", { work_mem: "5min" }, /neither a number nor one with a unit \(B, kB, MB, GB, TB\)/],
    ["a word that is not offered", { wal_compression: "brotli" }, /is not one of pglz, on, off/],
    ["a word too long", { search_path: "x".repeat(129) }, /longer than 128/],
    ["a line break", { search_path: "a\nb" }, /control character/],
    ["a command", { archive_command: "id" }, /archive_command cannot be set: it runs programs/],
    ["a library", { shared_preload_libraries: "/tmp/evil" }, /'\/tmp\/evil' is not one of auto_explain, pg_prewarm/],
    ["where the server listens", { LISTEN_ADDRESSES: "*" }, /decides where the server listens/],
    ["one parameter twice", { work_mem: 4096, WORK_MEM: 4096 }, /given twice/],
  ])("%s is refused with 422, in POST, PUT and PATCH, and nothing changes", async (_, values, why) => {
    const { id } = await make({ jit: true });
    for (const line of ["POST /configurations", `PUT /configurations/${id}`, `PATCH /configurations/${id}`]) {
      const reply = await api.ask("member", line, wish(values));
      expect([line, reply.status, reply.text]).toEqual([line, 422, like(why)]);
    }
    expect((await show(id)).values).toEqual({ jit: true });
  });

  test.each<[string, unknown, number]>([
    ["no name", { configuration: { values: {} } }, 400],
    ["a name too long", { configuration: { name: "x".repeat(65), values: {} } }, 400],
    ["no values", { configuration: { name: "n" } }, 400],
    ["values that are a list", { configuration: { name: "n", values: [] } }, 400],
    ["an unknown datastore", { configuration: { name: "n", values: {}, datastore: { type: "oracle" } } }, 404],
    ["an unknown version", { configuration: { name: "n", values: {}, datastore: { type: "postgresql", version: "9" } } }, 400],
  ])("a group with %s is refused", async (_, body, code) => {
    expect((await api.ask("member", "POST /configurations", { body })).status).toBe(code);
  });

  test("an inactive version may have groups; a boolean counts as integer; values with units are bounded", async () => {
    await api.db.owner`update datastore_version set active = false where name = '18'`;
    expect((await make({ commit_delay: true, statement_timeout: "1.5min", random_page_cost: 2 }, { datastore: { type: "postgresql", version: "18" } })).values).toEqual({ commit_delay: 1, statement_timeout: "1.5min", random_page_cost: 2 });
    await api.db.owner`update datastore_version set active = true where name = '18'`;
  });

  test("lists are paged by id, and the last page has no link", async () => {
    await api.db.owner`update configuration set deleted_at = now() where project_id = 'p2'`;
    const made: string[] = [];
    for (let at = 0; at < 4; at++) made.push((await make({}, {}, "other")).id);
    const first = (await api.ask("other", "GET /configurations")).json as unknown as { configurations: { id: string }[]; links: { href: string }[] };
    expect(first.configurations.map(({ id }) => id)).toEqual([...made].sort().slice(0, 3));
    const next = new URL(first.links[0]?.href ?? "");
    const second = (await api.ask("other", `GET ${next.pathname}${next.search}`)).json;
    expect(second).toEqual({ configurations: [expect.objectContaining({ id: [...made].sort()[3] })] });
  });
});

describe("instances", () => {
  test("attaching dynamic values leaves the instance ACTIVE, and detaching gives the defaults back", async () => {
    const [id, group] = [await api.active(), await make({ work_mem: 8192 })];
    const attached = await change(id, { configuration: group.id });
    expect([attached.status, attached.text, await status(id)]).toEqual([202, "", "ACTIVE"]);
    expect((await api.ask("member", `GET /instances/${id}`)).json.instance.configuration).toEqual({ id: group.id, name: "tuned", links: [expect.objectContaining({ rel: "self" }), expect.objectContaining({ rel: "bookmark" })] });
    expect((await show(group.id)).instance_count).toBe(1);
    expect((await api.ask("member", `GET /configurations/${group.id}/instances`)).json).toEqual({ instances: [{ id, name: "orders" }] });
    const refused = await api.ask("member", `DELETE /configurations/${group.id}`);
    expect([refused.status, refused.text]).toEqual([400, like(/attached to 1 instance/)]);
    const detached = await api.ask("member", `PATCH /instances/${id}`, { body: { instance: {} } });
    expect([detached.status, await status(id)]).toEqual([202, "ACTIVE"]);
    expect((await api.ask("member", `GET /instances/${id}`)).json.instance).not.toHaveProperty("configuration");
    expect((await change(id, { configuration: null })).status).toBe(202);
    expect((await api.jobs(id)).map(({ kind }) => kind)).toEqual(["prepare", "apply_configuration", "apply_configuration"]);
    expect((await api.ask("member", `DELETE /configurations/${group.id}`)).status).toBe(202);
  });

  test("a value that needs a restart leaves RESTART_REQUIRED, which blocks detaching until a restart", async () => {
    const [id, group] = [await api.active(), await make({ max_connections: 99, work_mem: 8192 })];
    expect((await change(id, { configuration: group.id })).status).toBe(202);
    expect(await status(id)).toBe("RESTART_REQUIRED");
    const blocked = await change(id, { configuration: null });
    expect([blocked.status, blocked.text]).toEqual([400, like(/Restart the instance/)]);
    expect((await api.ask("member", `POST /instances/${id}/action`, { body: { restart: {} } })).status).toBe(202);
  });

  test("refusals come in the contract's order", async () => {
    const [id, group, other] = [await api.active(), await make({}), await make({}, { datastore: { type: "postgresql", version: "16" } })];
    const foreign = await make({}, {}, "other");
    expect((await change(id, { configuration: "no-uuid" })).status).toBe(400);
    for (const missing of [nobody, foreign.id]) expect((await change(id, { configuration: missing })).status).toBe(404);
    const mismatch = await change(id, { configuration: other.id });
    expect([mismatch.status, mismatch.text]).toEqual([400, like(/another datastore version/)]);
    await api.put(id, { task: "RESIZING" });
    expect((await change(id, { configuration: group.id })).status).toBe(400);
    await api.put(id, { task: "NONE" });
    expect((await change(id, { configuration: group.id })).status).toBe(202);
    const twice = await change(id, { configuration: nobody });
    expect([twice.status, twice.text]).toEqual([400, like(/attached already/)]);
    const fresh = await api.create();
    for (const configuration of [group.id, null]) expect((await change(fresh, { configuration })).status).toBe(422);
    expect((await change(nobody, { configuration: group.id })).status).toBe(404);
  });

  test("a guest that refuses leaves the instance as it was, with a fault that says why", async () => {
    const [id, group] = [await api.active(), await make({ work_mem: 8192 })];
    api.cannot.add("apply_configuration");
    const refused = await change(id, { configuration: group.id });
    expect([refused.status, refused.text, await status(id)]).toEqual([400, like(/the guest cannot apply_configuration/), "ACTIVE"]);
    const seen = (await api.ask("member", `GET /instances/${id}`)).json.instance;
    expect(seen).not.toHaveProperty("configuration");
    expect(seen.fault).toMatchObject({ message: like(/apply configuration failed/) });
    api.cannot.clear();
    await change(id, { configuration: group.id });
    api.cannot.add("apply_configuration");
    expect((await change(id, { configuration: null })).status).toBe(400);
    expect((await api.ask("member", `GET /instances/${id}`)).json.instance.configuration).toMatchObject({ id: group.id });
  });

  test("a guest that is silent is waited for no longer than the bound, and has its way later", async () => {
    const [id, group] = [await api.active(), await make({ work_mem: 8192 })];
    api.sleep(true);
    const late = await change(id, { configuration: group.id });
    expect([late.status, late.text, await status(id)]).toEqual([400, like(/did not answer in time/), "RESTART_REQUIRED"]);
    await api.guestActs(id);
    expect(await status(id)).toBe("ACTIVE");
  });

  test("a change of a group reaches every instance that has it, and no other", async () => {
    const group = await make({ work_mem: 8192 });
    const [one, two, without] = [await api.active(), await api.active(), await api.active()];
    for (const id of [one, two]) await change(id, { configuration: group.id });
    expect((await api.ask("member", `PATCH /configurations/${group.id}`, { body: { configuration: { values: { jit: false } } } })).status).toBe(200);
    expect([await status(one), await status(two)]).toEqual(["ACTIVE", "ACTIVE"]);
    const replaced = await api.ask("member", `PUT /configurations/${group.id}`, { body: { configuration: { values: { max_connections: 80 } } } });
    expect([replaced.status, await status(one), await status(two), await status(without)]).toEqual([202, "RESTART_REQUIRED", "RESTART_REQUIRED", "ACTIVE"]);
    expect((await api.jobs(one)).map(({ kind }) => kind)).toEqual(["prepare", "apply_configuration", "apply_configuration", "apply_configuration"]);
    expect(await api.jobs(without)).toHaveLength(1);
    // Back to what the servers run with: nothing waits any more.
    await api.ask("member", `PUT /configurations/${group.id}`, { body: { configuration: { values: {} } } });
    expect([await status(one), await status(two)]).toEqual(["ACTIVE", "ACTIVE"]);
  });

  test("one guest that refuses a change is told of, and the others have it", async () => {
    const group = await make({ work_mem: 8192 });
    const id = await api.active();
    await change(id, { configuration: group.id });
    api.cannot.add("apply_configuration");
    const reply = await api.ask("member", `PATCH /configurations/${group.id}`, { body: { configuration: { values: { jit: false } } } });
    expect([reply.status, reply.text]).toEqual([400, like(/cannot apply_configuration/)]);
    expect([(await show(group.id)).values, await status(id)]).toEqual([{ work_mem: 8192, jit: false }, "ACTIVE"]);
    expect((await api.ask("member", `GET /instances/${id}`)).json.instance.configuration).toMatchObject({ id: group.id });
  });

  test("a new instance starts with the values of its group, given as id or href; an unknown one is 404", async () => {
    const group = await make({ max_connections: 80 });
    for (const configuration of [group.id, `https://h/v1.0/p1/configurations/${group.id}`]) {
      const id = await api.create({ configuration });
      expect(await lastSpec(id)).toMatchObject({ kind: "prepare", spec: { overrides: { max_connections: 80 } } });
      expect((await api.ask("member", `GET /instances/${id}`)).json.instance.configuration).toMatchObject({ id: group.id });
    }
    for (const configuration of [nobody, "nonsense", (await make({}, {}, "other")).id]) {
      expect((await api.ask("member", "POST /instances", api.wish({ configuration }))).status).toBe(404);
    }
  });

  test("a deleted instance no longer holds its group", async () => {
    const [id, group] = [await api.active(), await make({})];
    await change(id, { configuration: group.id });
    expect((await api.ask("member", `DELETE /instances/${id}`)).status).toBe(202);
    expect((await api.ask("member", `DELETE /configurations/${group.id}`)).status).toBe(202);
  });

  test("twenty changes and attachments at once end with what the group says last", async () => {
    const group = await make({ work_mem: 8000 });
    const ids = [await api.active(), await api.active(), await api.active()];
    // Nobody answers, so that all jobs are still there to be looked at.
    api.sleep(true);
    await Promise.all([
      ...ids.map((id) => change(id, { configuration: group.id })),
      ...Array.from({ length: 17 }, (_, at) => api.ask("member", `PATCH /configurations/${group.id}`, { body: { configuration: { values: { work_mem: 8001 + at } } } })),
    ]);
    const { values } = await show(group.id);
    for (const id of ids) expect(await lastSpec(id)).toMatchObject({ spec: { overrides: values } });
    for (const id of ids) await api.guestActs(id);
    expect(await Promise.all(ids.map(status))).toEqual(["ACTIVE", "ACTIVE", "ACTIVE"]);
  });

  test("the default configuration is that of version and flavor, numbers as numbers", async () => {
    const id = await api.active();
    const { json, status: code } = await api.ask("member", `GET /instances/${id}/configuration`);
    expect([code, json.instance.configuration]).toEqual([200, expect.objectContaining({ max_connections: 56, shared_buffers: "128MB", timezone: "UTC" })]);
    expect((await api.ask("member", `GET /instances/${await api.create()}/configuration`)).status).toBe(422);
    expect((await api.ask("other", `GET /instances/${id}/configuration`)).status).toBe(404);
  });
});
