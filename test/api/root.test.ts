import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { like, startApi, type Api } from "#test/api/rig";

let api: Api;
beforeAll(async () => {
  api = await startApi({ settings: { COFFER_GUEST_WAIT_MS: "400" } });
});
afterEach(() => {
  api.sleep(false);
  api.cannot.clear();
});
afterAll(() => api.close());

const enabled = async (id: string) => (await api.ask("member", `GET /instances/${id}/root`)).json.rootEnabled;

test("root is enabled with a generated password, anew each time, and disabled again", async () => {
  const id = await api.active();
  expect(await enabled(id)).toBe(false);
  const first = await api.ask("member", `POST /instances/${id}/root`);
  expect([first.status, first.json]).toEqual([200, { user: { name: "root", password: like(/^[\w-]{36}$/) } }]);
  expect(await enabled(id)).toBe(true);
  const second = await api.ask("member", `POST /instances/${id}/root`, { body: {} });
  expect(second.json).not.toEqual(first.json);
  const given = await api.ask("member", `POST /instances/${id}/root`, { body: { password: "my own" } });
  expect(given.json).toEqual({ user: { name: "root", password: "my own" } });
  expect(JSON.stringify(await api.jobs(id))).not.toContain("my own");

  const gone = await api.ask("member", `DELETE /instances/${id}/root`);
  expect([gone.status, gone.text]).toEqual([204, ""]);
  expect(await enabled(id)).toBe(false);
  expect((await api.ask("member", `DELETE /instances/${id}/root/delete`)).status).toBe(404);
  const history = await api.db.owner`select user_id, disabled_at from root_history where instance_id = ${id}`;
  expect(history.map((row) => [row.user_id as string, row.disabled_at === null])).toEqual([["ann", false], ["ann", false], ["ann", false]]);
  const { instance } = (await api.ask("admin", `GET /mgmt/instances/${id}`)).json;
  expect(instance).toMatchObject({ root_enabled: like(/T/), root_enabled_by: "ann" });
});

test("disabling root that was never enabled is a 404", async () => {
  const id = await api.active();
  expect((await api.ask("member", `DELETE /instances/${id}/root`)).status).toBe(404);
});

test("a guest that does not answer in time is a 400 that says the request is still queued", async () => {
  const id = await api.active();
  api.sleep(true);
  const reply = await api.ask("member", `POST /instances/${id}/root`);
  expect([reply.status, reply.text]).toEqual([400, like(/still queued/)]);
  expect(reply.text).not.toContain("password");
  await api.guestActs(id);
  expect(await enabled(id)).toBe(true);
});

test("what was accepted can be disabled before it is done", async () => {
  const id = await api.active();
  api.sleep(true);
  await api.ask("member", `POST /instances/${id}/root`);
  await api.ask("member", `DELETE /instances/${id}/root`);
  await api.guestActs(id);
  expect((await api.jobs(id)).map(({ kind, state }) => [kind, state])).toEqual([["prepare", "done"], ["enable_root", "done"], ["disable_root", "done"]]);
  expect(await enabled(id)).toBe(false);
});

test("an enabling that failed leaves root not enabled", async () => {
  const id = await api.active();
  api.cannot.add("enable_root");
  const reply = await api.ask("member", `POST /instances/${id}/root`);
  expect([reply.status, reply.text]).toEqual([400, like(/the guest cannot enable_root/)]);
  expect(await enabled(id)).toBe(false);
  expect((await api.ask("member", `DELETE /instances/${id}/root`)).status).toBe(404);
});

test.each([{ password: "" }, { password: 5 }, []])("a password of %j is a 400", async (body) => {
  const id = await api.active();
  expect((await api.ask("member", `POST /instances/${id}/root`, { body })).status).toBe(400);
});
