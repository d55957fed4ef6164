import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { installedImageId } from "#core/datastore/image";
import { like, nobody, startApi, type Api } from "#test/api/rig";

let api: Api;
let id: string;
beforeAll(async () => {
  api = await startApi({ settings: { COFFER_GUEST_WAIT_MS: "3000" } });
});
beforeEach(async () => {
  api.sleep(false);
  api.cannot.clear();
  id = await api.active();
});
afterAll(() => api.close());

const image = installedImageId("postgresql", "17");
const act = (body: object, at = id) => api.ask("admin", `POST /mgmt/instances/${at}/action`, { body });
const look = async () => (await api.ask("admin", `GET /instances/${id}`)).json.instance;
const running = async () => (await api.db.owner<{ kind: string; input: object }[]>`select kind, input from operation where instance_id = ${id} and outcome is null`).map(({ kind, input }) => ({ kind, input }));

test.each<[object, string, object, [string, string]]>([
  [{ reboot: {} }, "reboot", {}, ["REBOOT", ""]],
  [{ migrate: {} }, "migrate", {}, ["ACTIVE", ""]],
  [{ migrate: { host: "rack-7" } }, "migrate", { host: "rack-7" }, ["ACTIVE", ""]],
  [{ rebuild: { image_id: image } }, "rebuild", { imageId: image, generation: 2 }, ["BUILD", ""]],
])("%j is accepted, begins the operation %s and shows it", async (body, kind, input, shown) => {
  const reply = await act(body);
  expect([reply.status, reply.text]).toEqual([202, ""]);
  expect(await running()).toEqual([{ kind, input }]);
  const { status, operating_status } = await look();
  expect([status, operating_status]).toEqual(shown);
});

const gates: [string, Record<string, string>, Record<"stop" | "reboot" | "migrate" | "rebuild" | "reset-task-status", number>][] = [
  ["serves", {}, { stop: 202, reboot: 202, migrate: 202, rebuild: 202, "reset-task-status": 202 }],
  ["has no server yet", { task: "BUILDING", server_state: "none", service_status: "new" }, { stop: 422, reboot: 422, migrate: 422, rebuild: 422, "reset-task-status": 422 }],
  ["needs a restart", { task: "RESTART_REQUIRED" }, { stop: 202, reboot: 202, migrate: 202, rebuild: 202, "reset-task-status": 202 }],
  ["has crashed", { service_status: "crashed" }, { stop: 202, reboot: 202, migrate: 202, rebuild: 202, "reset-task-status": 202 }],
  ["says nothing", { service_status: "unknown" }, { stop: 202, reboot: 202, migrate: 422, rebuild: 202, "reset-task-status": 202 }],
  ["has a server in error", { server_state: "ERROR" }, { stop: 202, reboot: 202, migrate: 422, rebuild: 202, "reset-task-status": 202 }],
  ["could not be rebuilt", { task: "BUILDING_ERROR" }, { stop: 202, reboot: 202, migrate: 422, rebuild: 202, "reset-task-status": 202 }],
  ["is being deleted", { task: "DELETING", desired: "absent" }, { stop: 422, reboot: 422, migrate: 422, rebuild: 422, "reset-task-status": 202 }],
];

test.each(gates)("what administrators may do to an instance that %s", async (_, state, expected) => {
  const bodies: Record<keyof typeof expected, object> = { stop: {}, reboot: {}, migrate: {}, rebuild: { image_id: image }, "reset-task-status": {} };
  const seen: Record<string, number> = {};
  for (const [name, body] of Object.entries(bodies)) {
    await api.db.owner`update operation set outcome = 'done', finished_at = now() where instance_id = ${id} and outcome is null`;
    await api.put(id, { desired: "present", task: "NONE", server_state: "ACTIVE", service_status: "healthy", ...state });
    seen[name] = (await act({ [name]: body })).status;
  }
  expect(seen).toEqual(expected);
});

test("while an operation runs, and for what was never built, nothing is booted", async () => {
  await act({ reboot: {} });
  for (const body of [{ reboot: {} }, { migrate: {} }, { rebuild: { image_id: image } }]) expect((await act(body)).status).toBe(422);
  expect(await running()).toHaveLength(1);
  const fresh = await api.create();
  await api.db.owner`update operation set outcome = 'failed' where instance_id = ${fresh}`;
  await api.put(fresh, { task: "BUILDING_ERROR", server_state: "ACTIVE" });
  for (const body of [{ reboot: {} }, { rebuild: { image_id: image } }]) expect((await act(body, fresh)).status).toBe(422);
  expect((await api.row(fresh)).task).toBe("BUILDING_ERROR");
});

test.each<[object, number]>([
  [{}, 400],
  [{ dance: {} }, 400],
  [{ stop: {}, reboot: {} }, 400],
  [{ rebuild: {} }, 400],
  [{ rebuild: { image_id: "latest" } }, 400],
  [{ rebuild: { image_id: nobody } }, 400],
  [{ rebuild: { image_id: installedImageId("postgresql", "16") } }, 400],
  [{ rebuild: { image_id: image, name: "n" } }, 400],
  [{ migrate: { host: 5 } }, 400],
])("%j answers %i and changes nothing", async (body, status) => {
  const before = await api.row(id);
  const reply = await act(body);
  expect([reply.status, Object.keys(reply.json)]).toEqual([status, ["badRequest"]]);
  expect([await api.row(id), await running()]).toEqual([before, []]);
});

test("an instance nobody has is a 404 for every action and question", async () => {
  for (const body of [{ stop: {} }, { reboot: {} }, { migrate: {} }, { rebuild: { image_id: image } }, { "reset-task-status": {} }]) expect((await act(body, nobody)).status).toBe(404);
  for (const question of ["diagnostics", "hwinfo", "rpc_ping"]) expect((await api.ask("admin", `GET /mgmt/instances/${nobody}/${question}`)).status).toBe(404);
});

test("stop ends before its reply, leaves the task alone, and the next report shows it", async () => {
  expect((await act({ stop: {} })).status).toBe(202);
  expect(await look()).toMatchObject({ status: "ACTIVE", operating_status: "SHUTDOWN" });
  expect((await api.ask("member", `GET /instances/${id}/users`)).status).toBe(422);
});

test("a guest that cannot stop is a 400 with its words, and one that is away a 400 in time", async () => {
  api.cannot.add("stop");
  const reply = await act({ stop: {} });
  expect([reply.status, reply.text]).toEqual([400, like(/cannot stop/)]);
  api.sleep(true);
  expect((await api.ask("admin", `GET /mgmt/instances/${id}/rpc_ping`)).status).toBe(400);
});

test("a question that fails is no fault of the instance", async () => {
  api.cannot.add("diagnostics");
  expect((await api.ask("admin", `GET /mgmt/instances/${id}/diagnostics`)).status).toBe(400);
  expect((await look()).fault).toBeUndefined();
});

test("a guest that is away finds each question once, and old answers are forgotten", async () => {
  const ask = () => api.ask("admin", `GET /mgmt/instances/${id}/rpc_ping`);
  const pings = async () => (await api.jobs(id)).filter(({ kind }) => kind === "ping").map(({ state }) => state);
  api.sleep(true);
  expect((await Promise.all([ask(), ask(), ask()])).map(({ status }) => status)).toEqual([400, 400, 400]);
  expect(await pings()).toEqual(["queued"]);
  api.sleep(false);
  expect((await ask()).status).toBe(204);
  await ask();
  expect(await pings()).toEqual(["done", "done"]);
  await api.db.owner`update guest_job set finished_at = now() - interval '2 minutes' where kind = 'ping'`;
  await ask();
  expect(await pings()).toEqual(["done"]);
});
