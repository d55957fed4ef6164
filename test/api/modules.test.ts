import { createHash } from "node:crypto";
import { sql } from "drizzle-orm";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { enter } from "#core/context";
import { transaction } from "#core/db/index";
import { pending, report } from "#core/guest/server";
import { createSeal, type Seal } from "#core/seal";
import { like, nobody, startApi, type Api, type Person } from "#test/api/rig";
import { testSeal } from "#test/support/seal";

let api: Api;
beforeAll(async () => {
  api = await startApi({ settings: { COFFER_PAGE_SIZE: "2", COFFER_GUEST_WAIT_MS: "1500" } });
});
afterEach(async () => {
  api.sleep(false);
  api.cannot.clear();
  await api.db.owner`update module set deleted_at = now()`;
});
afterAll(() => api.close());

interface Shown extends Record<string, unknown> {
  id: string;
  md5: string;
  contents?: string;
}
const shown = (reply: { json: unknown }) => (reply.json as { module: Shown }).module;
const many = (reply: { json: unknown }) => (reply.json as { modules: Shown[] }).modules;
const base64 = (text: string) => Buffer.from(text).toString("base64");
const wish = (change: Record<string, unknown> = {}) => ({ body: { module: { name: "hello", module_type: "ping", contents: base64("message=hi"), ...change } } });
const make = async (change: Record<string, unknown> = {}, person: Person = "member") => {
  const reply = await api.ask(person, "POST /modules", wish(change));
  if (reply.status !== 200) throw new Error(reply.text);
  return shown(reply);
};
const change = (id: string, module: Record<string, unknown>, person: Person = "member") => api.ask(person, `PUT /modules/${id}`, { body: { module } });
const apply = (instance: string, ids: string[], person: Person = "member") => api.ask(person, `POST /instances/${instance}/modules`, { body: { modules: ids.map((id) => ({ id })) } });
const onInstance = async (id: string, query = "", person: Person = "member") => many(await api.ask(person, `GET /instances/${id}/modules${query}`));
const names = (list: Record<string, unknown>[]) => list.map(({ name }) => name);

describe("modules", () => {
  test("a module is created, shown, listed, changed and deleted, in Trove's form", async () => {
    const created = await make({ description: "greets", datastore: { type: "postgresql", version: "17" }, apply_order: 3 });
    expect(created).toEqual({
      id: like(/^[0-9a-f-]{36}$/),
      name: "hello",
      type: "ping",
      description: "greets",
      tenant_id: "p1",
      tenant: "p1",
      datastore_id: like(/^[0-9a-f-]{36}$/),
      datastore_version_id: like(/^[0-9a-f-]{36}$/),
      datastore: "postgresql",
      datastore_version: "17",
      auto_apply: false,
      priority_apply: false,
      apply_order: 3,
      is_admin: false,
      md5: createHash("md5").update(base64("message=hi")).digest("hex"),
      visible: true,
      live_update: false,
      created: like(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/),
      updated: like(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/),
    });
    expect(shown(await api.ask("reader", `GET /modules/${created.id}`))).toEqual({ ...created, instance_count: 0 });
    expect(many(await api.ask("reader", "GET /modules"))).toEqual([Object.fromEntries(Object.entries(created).filter(([key]) => key !== "live_update"))]);
    // `type` is what troveclient sends; it is not heard.
    const changed = await change(created.id, { name: "other", type: "new_relic_license", contents: base64("message=ho"), live_update: 1, all_datastores: 1, all_datastore_versions: 1 });
    expect(shown(changed)).toMatchObject({ id: created.id, name: "other", type: "ping", live_update: true, datastore: "all", datastore_id: null, datastore_version: "all", description: "greets" });
    expect(shown(changed).md5).not.toBe(created.md5);
    const gone = await api.ask("member", `DELETE /modules/${created.id}`);
    expect([gone.status, gone.text]).toEqual([200, ""]);
    for (const line of [`GET /modules/${created.id}`, `DELETE /modules/${created.id}`, `GET /modules/${created.id}/instances`]) expect((await api.ask("member", line)).status).toBe(404);
    expect((await change(created.id, {})).status).toBe(404);
  });

  test.each<[string, Record<string, unknown>, number, RegExp]>([
    ["no name", { name: undefined }, 400, /'name' is a required property/],
    ["no type", { module_type: undefined }, 400, /'module_type' is a required property/],
    ["no contents", { contents: undefined }, 400, /'contents' is a required property/],
    ["a type that is not offered here", { module_type: "new_relic_license" }, 404, /Offered are ping, postgresql_extensions/],
    ["contents that are no base64", { contents: "secret!" }, 400, /module\['contents'\] is not base64/],
    ["contents that are too long", { contents: base64("x".repeat(16 * 1024 + 1)) }, 400, /16384 is the most/],
    ["an order out of range", { apply_order: 10 }, 400, /greater than the maximum of 9/],
    ["a flag that is none", { live_update: 2 }, 400, /live_update/],
    ["an unknown datastore", { datastore: { type: "oracle" } }, 404, /Datastore 'oracle'/],
    ["an unknown version", { datastore: { type: "postgresql", version: "9" } }, 400, /version '9'/],
    ["a version without its datastore", { datastore: { version: "17" } }, 400, /needs its datastore/],
    ["SQL for extensions", { module_type: "postgresql_extensions", contents: base64("extension=citext\nCOPY t FROM PROGRAM 'id'") }, 400, /Line 2 of the contents is neither/],
    ["an extension that opens the host", { module_type: "postgresql_extensions", contents: base64("extension=plpython3u") }, 400, /Line 1 of the contents names an extension that is not offered/],
    ["a quoted way out of a name", { module_type: "postgresql_extensions", contents: base64('extension=citext"; ALTER SYSTEM SET x=1') }, 400, /not offered/],
    ["no extension", { module_type: "postgresql_extensions", contents: base64("# nothing\n\ndatabase=app") }, 400, /name no extension/],
  ])("a module with %s is refused", async (_, given, status, why) => {
    const reply = await api.ask("member", "POST /modules", wish(given));
    expect([reply.status, reply.text]).toEqual([status, like(why)]);
    expect(reply.text).not.toContain("secret!");
  });

  test("two of one name are refused unless type, project, datastore or version differ; so is a change into one", async () => {
    await make();
    const again = await api.ask("member", "POST /modules", wish());
    expect([again.status, again.text]).toEqual([400, like(/exists already/)]);
    const bound = await make({ datastore: { type: "postgresql" } });
    await make({ datastore: { type: "postgresql", version: "17" } });
    await make({ module_type: "postgresql_extensions", contents: base64("extension=citext") });
    await make({}, "other");
    const into = await change(bound.id, { all_datastores: 1 });
    expect([into.status, into.text]).toEqual([400, like(/exists already/)]);
    expect((await change(bound.id, { all_datastores: 1, datastore: { type: "postgresql" } })).status).toBe(400);
  });

  test.each<[string, Record<string, number>]>([
    ["all_tenants", { all_tenants: 1 }],
    ["auto_apply", { auto_apply: 1 }],
    ["visible=0", { visible: 0 }],
    ["priority_apply", { priority_apply: 1 }],
    ["full_access", { full_access: 0 }],
  ])("%s is for administrators, at creation and after", async (_, option) => {
    expect((await api.ask("member", "POST /modules", wish(option))).status).toBe(403);
    const mine = await make();
    expect((await change(mine.id, option)).status).toBe(403);
    const theirs = await make(option, "admin");
    expect(theirs.is_admin).toBe(true);
  });

  test("full_access opens an administrator's module, and goes with no other option", async () => {
    expect((await api.ask("admin", "POST /modules", wish({ full_access: 1, auto_apply: 1 }))).status).toBe(400);
    expect((await make({ full_access: 1 }, "admin")).is_admin).toBe(false);
    const mine = await make({ name: "mine" });
    expect(shown(await change(mine.id, { priority_apply: 1 }, "admin")).is_admin).toBe(true);
    expect((await change(mine.id, { description: "x" })).status).toBe(403);
    expect((await api.ask("member", `DELETE /modules/${mine.id}`)).status).toBe(403);
    expect(shown(await change(mine.id, { priority_apply: 0 }, "admin")).is_admin).toBe(true);
    expect(shown(await change(mine.id, { full_access: 1 }, "admin")).is_admin).toBe(false);
    expect((await api.ask("member", `DELETE /modules/${mine.id}`)).status).toBe(200);
  });

  test("a member sees the project's and everybody's, never the hidden ones; an administrator sees all", async () => {
    await make({ name: "mine" });
    await make({ name: "theirs" }, "other");
    const shared = await make({ name: "shared", all_tenants: 1 }, "admin");
    const hidden = await make({ name: "hidden", all_tenants: 1, visible: 0 }, "admin");
    await make({ name: "bound", datastore: { type: "postgresql" } });
    expect(names(many(await api.ask("member", "GET /modules")))).toEqual(["bound", "mine", "shared"]);
    expect(names(many(await api.ask("other", "GET /modules")))).toEqual(["shared", "theirs"]);
    expect(names(many(await api.ask("admin", "GET /modules")))).toEqual(["bound", "hidden", "mine", "shared", "theirs"]);
    expect(names(many(await api.ask("member", "GET /modules?datastore=all")))).toEqual(["mine", "shared"]);
    expect(names(many(await api.ask("member", "GET /modules?datastore=postgresql")))).toEqual(["bound"]);
    expect((await api.ask("member", "GET /modules?datastore=oracle")).status).toBe(404);
    expect(shown(await api.ask("member", `GET /modules/${shared.id}`))).toMatchObject({ tenant: "all", tenant_id: null });
    expect((await api.ask("member", `GET /modules/${hidden.id}`)).status).toBe(404);
    for (const line of [`PUT /modules/${shared.id}`, `DELETE /modules/${shared.id}`]) expect((await api.ask("member", line, { body: { module: {} } })).status).toBe(403);
  });

  test("row-level security keeps one project's rows from another, and contents lie sealed", async () => {
    const { id } = await make({ contents: base64("message=top-secret") });
    const [row] = await api.db.owner<{ contents: Buffer }[]>`select contents from module where id = ${id}`;
    expect(row?.contents.toString("latin1")).not.toMatch(/top-secret|bWVzc2FnZ/);
    const instance = await api.active();
    await apply(instance, [id]);
    const shared = await make({ name: "shared", all_tenants: 1 }, "admin");
    const seenBy = (projectId: string) =>
      enter({ db: api.db.app, actor: { kind: "user", userId: "u", projectId, roles: ["member"], isAdmin: false } }, () =>
        transaction(async (tx) => {
          const modules = await tx.execute<{ id: string }>(sql`select id from module where deleted_at is null`);
          const applied = await tx.execute(sql`select from instance_module where instance_id = ${instance}`);
          const changed = await tx.execute(sql`update module set name = name where id in (${id}, ${shared.id}) returning id`);
          return [modules.map((one) => one.id).sort(), applied.length, changed.map((one) => one.id)];
        }),
      );
    expect(await seenBy("p1")).toEqual([[id, shared.id].sort(), 1, [id]]);
    expect(await seenBy("p2")).toEqual([[shared.id], 0, []]);
  });
});

describe("instances", () => {
  test("modules are applied in their order; the answer says how each went; no secret stays in a job", async () => {
    const id = await api.active();
    const last = await make({ name: "last", apply_order: 9, contents: base64("message=the end") });
    const bad = await make({ name: "bad", apply_order: 1, contents: base64("nothing to say") });
    api.sleep(true);
    const asked = apply(id, [last.id, bad.id, nobody]);
    await expect.poll(async () => (await api.jobs(id)).at(-1)?.kind).toBe("apply_modules");
    expect((await api.jobs(id)).at(-1)?.spec).toEqual({ modules: [{ id: like(/./) }, { id: like(/./) }] });
    await api.guestActs(id);
    const reply = await asked;
    expect(reply.status, reply.text).toBe(200);
    const results = many(reply);
    expect(results.map(({ name, status, message }) => [name, status, message]).sort()).toEqual([["bad", "ERROR", "Message not found in contents file"], ["last", "OK", "the end"]]);
    expect(results.find(({ name }) => name === "last")).toEqual({
      ...{ type: "ping", name: "last", datastore: "all", datastore_version: "all", tenant: "p1", id: last.id, md5: last.md5, status: "OK", message: "the end" },
      ...{ created: like(/T/), updated: like(/T/), removed: null, auto_apply: false, visible: true, is_admin: false },
    });
    expect((await api.jobs(id)).at(-1)).toMatchObject({ state: "done", spec: null });
    expect(await onInstance(id)).toEqual(results);
    expect((await onInstance(id, "?from_guest=True&include_contents=false")).map(({ contents }) => contents).sort()).toEqual([base64("message=the end"), base64("nothing to say")].sort());
    expect(shown(await api.ask("member", `GET /modules/${last.id}`)).instance_count).toBe(1);
    expect(shown(await api.ask("member", `GET /modules/${bad.id}`)).instance_count).toBe(0);
    expect((await api.ask("other", `GET /instances/${id}/modules`)).status).toBe(404);
    expect((await apply(id, [last.id], "other")).status).toBe(404);
    expect((await apply(id, [last.id], "reader")).status).toBe(403);
  });

  test("what is applied cannot be changed or deleted, unless it says live_update; what was applied keeps its contents", async () => {
    const [id, fixed, live] = [await api.active(), await make({ name: "fixed" }), await make({ name: "live", live_update: 1 })];
    await apply(id, [fixed.id, live.id]);
    const refused = await change(fixed.id, { description: "x" });
    expect([refused.status, refused.text]).toEqual([403, like(/applied to 1 instance/)]);
    expect((await api.ask("member", `DELETE /modules/${fixed.id}`)).status).toBe(403);
    expect((await change(live.id, { contents: base64("message=new") })).status).toBe(200);
    expect((await onInstance(id, "?include_contents=1")).find(({ name }) => name === "live")).toMatchObject({ md5: live.md5, contents: base64("message=hi") });
    expect((await api.ask("member", `DELETE /modules/${live.id}`)).status).toBe(200);
    // One that is gone can still be taken away.
    expect((await api.ask("member", `DELETE /instances/${id}/modules/${live.id}`)).status).toBe(200);
    const taken = await api.ask("member", `DELETE /instances/${id}/modules/${fixed.id}`);
    expect([taken.status, taken.text, await onInstance(id)]).toEqual([200, "", []]);
    expect((await change(fixed.id, { description: "x" })).status).toBe(200);
    const again = await api.ask("member", `DELETE /instances/${id}/modules/${fixed.id}`);
    expect([again.status, again.text]).toEqual([400, like(/has not been applied/)]);
    expect((await api.ask("member", `DELETE /instances/${id}/modules/${nobody}`)).status).toBe(404);
  });

  test("nothing is noted when the guest cannot, or does not answer in time", async () => {
    const [id, module] = [await api.active(), await make()];
    api.cannot.add("apply_modules");
    expect((await apply(id, [module.id])).status).toBe(400);
    api.cannot.clear();
    api.sleep(true);
    const late = await apply(id, [module.id]);
    expect([late.status, late.text, await onInstance(id)]).toEqual([400, like(/still queued/), []]);
    await api.guestActs(id);
    expect(names(await onInstance(id))).toEqual(["hello"]);
    api.cannot.add("remove_module");
    api.sleep(false);
    expect((await api.ask("member", `DELETE /instances/${id}/modules/${module.id}`)).status).toBe(400);
    expect(names(await onInstance(id))).toEqual(["hello"]);
  });

  test("modules of another datastore version, of another project, and of no server are not applied", async () => {
    const id = await api.active();
    const other = await make({ datastore: { type: "postgresql", version: "16" } });
    const wrong = await apply(id, [other.id]);
    expect([wrong.status, wrong.text]).toEqual([400, like(/another datastore version/)]);
    expect((await api.ask("member", "POST /instances", api.wish({ modules: [{ id: other.id }] }))).status).toBe(400);
    const theirs = await make({}, "other");
    expect(many(await apply(id, [theirs.id]))).toEqual([]);
    const unbuilt = await api.create();
    for (const line of [`GET /instances/${unbuilt}/modules`, `DELETE /instances/${unbuilt}/modules/${theirs.id}`]) expect((await api.ask("member", line)).status).toBe(422);
    expect((await apply(unbuilt, [])).status).toBe(422);
    for (const body of [{}, { modules: {} }, { modules: [{}] }, { modules: [{ id: "x" }] }]) expect((await api.ask("member", `POST /instances/${id}/modules`, { body })).status).toBe(400);
  });

  test("a new instance gets the modules it asks for and those that apply by themselves; a module in error harms it not", async () => {
    const mine = await make({ name: "mine", contents: base64("no word") });
    await make({ name: "auto", auto_apply: 1, all_tenants: 1, visible: 0 }, "admin");
    await make({ name: "elsewhere", auto_apply: 1 }, "admin");
    await make({ name: "other version", auto_apply: 1, all_tenants: 1, datastore: { type: "postgresql", version: "16" } }, "admin");
    const id = await api.active({ modules: [{ id: mine.id }, { id: nobody }] });
    expect((await onInstance(id)).map(({ name, status }) => [name, status])).toEqual([["mine", "ERROR"]]);
    expect(names(await onInstance(id, "", "admin")).sort()).toEqual(["auto", "mine"]);
    const contents = (await onInstance(id, "?include_contents=1", "admin")).find(({ name }) => name === "auto")?.contents;
    expect(contents).toBe(base64("message=hi"));
  });

  test("a member is not shown the contents of an administrator's module", async () => {
    const [id, shared] = [await api.active(), await make({ name: "shared", all_tenants: 1 }, "admin")];
    await apply(id, [shared.id]);
    const [seen] = await onInstance(id, "?include_contents=1");
    expect(Buffer.from(seen?.contents ?? "", "base64").toString()).toBe("Must be admin to retrieve contents for module shared");
    expect(shown(await api.ask("other", `GET /modules/${shared.id}`)).instance_count).toBe(0);
    expect(shown(await api.ask("admin", `GET /modules/${shared.id}`)).instance_count).toBe(1);
  });

  test("a guest that speaks of modules it was not given is not heard", async () => {
    const [id, theirs] = [await api.active(), await make({}, "other")];
    await api.db.owner`insert into guest_job (id, instance_id, project_id, generation, kind, spec, created_at)
      select gen_random_uuid(), id, project_id, generation, 'apply_modules', ${{ modules: [{ id: nobody }] } as never}, now() from instance where id = ${id}`;
    const [job] = await api.db.owner<{ id: string }[]>`select id from guest_job where instance_id = ${id} and state = 'queued'`;
    const told = { id: job?.id ?? "", ok: true, result: { modules: [{ id: theirs.id, md5: theirs.md5, status: "OK", message: "" }] } };
    await api.asSystem(() => report({ instanceId: id, projectId: "p1", generation: 1 }, { report: { serviceStatus: "healthy", agentVersion: "test" }, results: [told], protocol: 1 }));
    expect(await onInstance(id, "?include_contents=1")).toEqual([]);
  });

  test("a guest gets those with priority first, then by order; a key that was lost costs contents only", async () => {
    const id = await api.active();
    const made = [await make({ name: "9", apply_order: 9 }), await make({ name: "0", apply_order: 0 }), await make({ name: "first", apply_order: 7, priority_apply: 1, all_tenants: 1 }, "admin")];
    api.sleep(true);
    const asked = apply(id, made.map((one) => one.id));
    await expect.poll(async () => (await api.jobs(id)).at(-1)?.kind).toBe("apply_modules");
    const fetched = async (seal: Seal) => {
      const [job] = await api.asSystem(() => pending({ instanceId: id, projectId: "p1", generation: 1 }, seal));
      return (job?.spec.modules as { work: { name: string; contents: string | null } }[]).map(({ work }) => [work.name, work.contents]);
    };
    expect(await fetched(testSeal)).toEqual([["first", base64("message=hi")], ["0", base64("message=hi")], ["9", base64("message=hi")]]);
    expect(await fetched(createSeal(Buffer.alloc(32, 9)))).toEqual([["first", null], ["0", null], ["9", null]]);
    await api.guestActs(id);
    expect((await asked).status).toBe(200);
  });

  test("deleting an instance frees its modules", async () => {
    const [id, module] = [await api.active(), await make()];
    await apply(id, [module.id]);
    expect((await api.ask("member", `DELETE /instances/${id}`)).status).toBe(202);
    expect(shown(await api.ask("member", `GET /modules/${module.id}`)).instance_count).toBe(0);
    expect((await api.ask("member", `DELETE /modules/${module.id}`)).status).toBe(200);
  });
});

describe("a module's instances", () => {
  test("are listed in pages, counted by contents, and of the asking project only", async () => {
    const module = await make({ live_update: 1 });
    const ids = [await api.active(), await api.active(), await api.active()];
    for (const id of ids.slice(0, 2)) await apply(id, [module.id]);
    await change(module.id, { contents: base64("message=new") });
    await apply(ids[2] ?? "", [module.id]);
    const first = (await api.ask("member", `GET /modules/${module.id}/instances`)).json;
    expect(first.instances).toHaveLength(2);
    const next = new URL(first.links[0]?.href ?? "");
    const second = (await api.ask("member", `GET ${next.pathname}${next.search}`)).json;
    expect([...first.instances, ...second.instances].map(({ id }) => id).sort()).toEqual([...ids].sort());
    expect(second.links).toBeUndefined();
    expect(first.instances[0]).toHaveProperty("operating_status");
    const counts = (await api.ask("member", `GET /modules/${module.id}/instances?count_only=True`)).json.instances;
    expect(counts.map((row) => [row.current, row.instance_count]).sort()).toEqual([[false, 2], [true, 1]]);
    expect(counts[0]).toEqual({ module_name: "hello", module_id: module.id, module_md5: like(/^[0-9a-f]{32}$/), instance_count: expect.any(Number) as number, current: expect.any(Boolean) as boolean, min_updated_date: like(/T/), max_updated_date: like(/T/) });
    expect((await api.ask("other", `GET /modules/${module.id}/instances`)).status).toBe(404);
  });

  test("are reached by a reapply in batches: what is current only by force, and by the contents named", async () => {
    const module = await make({ live_update: 1 });
    const ids = [await api.active(), await api.active(), await api.active()].sort();
    for (const id of ids) await apply(id, [module.id]);
    const reapply = (body: Record<string, unknown> = {}) => api.ask("member", `PUT /modules/${module.id}/instances`, { body: { reapply: body } });
    const waiting = async () => (await api.db.owner<{ instance_id: string; later: boolean }[]>`select instance_id, not_before is not null as later from guest_job where kind = 'apply_modules' and state = 'queued' order by seq`).map((row) => [row.instance_id, row.later]);
    api.sleep(true);
    const done = await reapply();
    expect([done.status, done.text, await waiting()]).toEqual([202, "", []]);
    await change(module.id, { contents: base64("message=new") });
    await reapply({ md5: "0".repeat(32), include_clustered: 0 });
    expect(await waiting()).toEqual([]);
    await reapply({ batch_size: 2, batch_delay: 3600, md5: module.md5 });
    expect(await waiting()).toEqual([[ids[0], false], [ids[1], false], [ids[2], true]]);
    for (const id of ids) await api.guestActs(id);
    expect((await Promise.all(ids.map((id) => onInstance(id)))).map(([one]) => one?.message)).toEqual(["new", "new", "hi"]);
    await api.db.owner`update guest_job set not_before = now() where not_before is not null`;
    for (const id of ids) await api.guestActs(id);
    expect((await onInstance(ids[2] ?? ""))[0]?.message).toBe("new");
    await reapply({ force: 1 });
    expect(await waiting()).toHaveLength(3);
    for (const body of [{ batch_size: 0 }, { batch_delay: "x" }, { force: 7 }]) expect((await reapply(body)).status).toBe(400);
    expect((await api.ask("other", `PUT /modules/${module.id}/instances`, { body: { reapply: {} } })).status).toBe(404);
  });
});
