import { afterAll, beforeAll, expect, test } from "vitest";
import { like, nobody, startApi, type Api, type Person } from "#test/api/rig";

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const act = (id: string, body: unknown, person: Person = "member") => api.ask(person, `POST /instances/${id}/action`, { body });
const running = (id: string) => api.db.owner`select kind, input, cancel_requested from operation where instance_id = ${id} and outcome is null`;
const status = async (id: string) => (await api.ask("member", `GET /instances/${id}`)).json.instance.status;

test.each<[object, string, string, object]>([
  [{ restart: {} }, "restart", "REBOOT", {}],
  [{ resize: { flavorRef: 2 } }, "resize_flavor", "RESIZE", { flavorId: "2" }],
  [{ resize: { flavorRef: "http://x/flavors/3" } }, "resize_flavor", "RESIZE", { flavorId: "3" }],
  [{ resize: { volume: { size: "4" }, flavorRef: "2" } }, "resize_volume", "RESIZE", { volumeGb: 4 }],
  [{ resize: { volume: { size: 2, type: "ssd" } }, restart: {}, note: 1 }, "restart", "REBOOT", {}],
])("%j begins one operation and answers 202 with no bytes", async (body, kind, shown, input) => {
  const id = await api.active();
  const reply = await act(id, body);
  expect([reply.status, reply.text]).toEqual([202, ""]);
  expect(await running(id)).toEqual([{ kind, input, cancel_requested: false }]);
  expect(await status(id)).toBe(shown);
  const again = await act(id, { restart: {} });
  expect([again.status, again.text]).toEqual([422, like(/task status was/)]);
});

test.each<[unknown, number, RegExp]>([
  [{}, 400, /names no action/],
  [{ dance: {} }, 400, /names no action/],
  [{ constructor: {} }, 400, /names no action/],
  [[], 400, /not of type 'object'/],
  [{ restart: null }, 400, /Validation error: restart None is not of type 'object'/],
  [{ resize: {} }, 400, /flavorRef or a volume/],
  [{ resize: { cpu: 1 } }, 400, /flavorRef or a volume/],
  [{ resize: { volume: 5 } }, 400, /resize\['volume'\] 5 is not of type 'object'/],
  [{ resize: { volume: { size: 0 } } }, 400, /0 is less than/],
  [{ resize: { volume: { size: 1 } } }, 400, /larger than 1 GB/],
  [{ resize: { volume: { size: 11 } } }, 413, /10 GB/],
  [{ resize: { flavorRef: "1" } }, 400, /this flavor already/],
  [{ resize: { flavorRef: "99" } }, 400, /Flavor 99/],
  [{ promote_to_replica_source: {} }, 400, /is not a replica/],
  [{ eject_replica_source: {} }, 400, /has no replicas/],
  [{ reset_status: {} }, 403, /instance:reset_status/],
])("%j is refused and changes nothing", async (body, code, text) => {
  const id = await api.active();
  const before = [await api.row(id), await api.usage()];
  const reply = await act(id, body);
  expect([reply.status, reply.text]).toEqual([code, like(text)]);
  expect([await api.row(id), await api.usage()]).toEqual(before);
  expect(await running(id)).toEqual([]);
});

test.each<[string, Record<string, string>, RegExp]>([
  ["no server", { server_state: "none", task: "BUILDING" }, /is not ready/],
  ["a server in error, whatever else", { server_state: "ERROR", task: "REBOOTING" }, /instance status was REBOOT/],
  ["a stopped server", { server_state: "SHUTDOWN" }, /instance status was SHUTDOWN/],
  ["another task", { task: "RESIZING", service_status: "unknown" }, /task status was RESIZING/],
  ["a failed build", { task: "BUILDING_ERROR" }, /task status was BUILDING\)/],
  ["a service that is not known", { service_status: "unknown" }, /instance status was ACTIVE/],
])("gate A refuses %s with 422, in the contract's order", async (_, state, text) => {
  const id = await api.active();
  await api.put(id, state);
  for (const body of [{ restart: {} }, { resize: { flavorRef: "2" } }, { resize: { volume: { size: 2 } } }]) {
    const reply = await act(id, body);
    expect([reply.status, reply.text]).toEqual([422, like(text)]);
    expect(reply.json).toHaveProperty("unprocessableEntity.message", like(new RegExp(id)));
  }
  expect(await running(id)).toEqual([]);
});

test.each(["running", "healthy", "shutdown", "crashed", "restart_required"])("gate A lets service status %s through, and a stale heartbeat too", async (service) => {
  const id = await api.active();
  await api.put(id, { service_status: service, service_status_at: new Date(0) });
  expect((await act(id, { restart: {} })).status).toBe(202);
});

test("an action on what does not exist is a 404", async () => {
  for (const body of [{ restart: {} }, { resize: { volume: { size: 2 } } }, { resize: { flavorRef: "2" } }]) expect((await act(nobody, body)).status).toBe(404);
  expect((await act(nobody, { reset_status: {} }, "admin")).status).toBe(404);
});

test("of two restarts at once one is accepted", async () => {
  const id = await api.active();
  const replies = await Promise.all([act(id, { restart: {} }), act(id, { restart: {} }), act(id, { resize: { flavorRef: "2" } })]);
  expect(replies.map((reply) => reply.status).sort()).toEqual([202, 422, 422]);
  expect(await running(id)).toHaveLength(1);
});

test("a resize charges the difference at once", async () => {
  const id = await api.active({ flavorRef: "1" }, "other");
  await act(id, { resize: { flavorRef: "3" } }, "other");
  expect(await api.usage("p2")).toMatchObject({ ram: 2048, volumes: 1 });
  const second = await api.active({ flavorRef: "2" }, "other");
  await act(second, { resize: { volume: { size: 3 } } }, "other");
  await api.put(id, { task: "NONE", flavor_id: "3" });
  await api.db.owner`update operation set outcome = 'done' where instance_id = ${id}`;
  await act(id, { resize: { flavorRef: "1" } }, "other");
  expect(await api.usage("p2")).toEqual({ instances: 2, ram: 512 + 1024, volumes: 1 + 3 });
});

test("reset_status of a build makes it ERROR, stops the run, and DELETE is accepted at once", async () => {
  const id = await api.create();
  expect((await api.ask("member", `DELETE /instances/${id}`)).status).toBe(422);
  expect((await act(id, { reset_status: {} }, "admin")).status).toBe(202);
  expect(await running(id)).toEqual([{ kind: "create", input: {}, cancel_requested: true }]);
  expect((await api.ask("member", `GET /instances/${id}`)).json.instance).toMatchObject({ status: "ERROR", operating_status: "" });
  expect((await api.ask("member", `DELETE /instances/${id}`)).status).toBe(202);
  expect(await status(id)).toBe("SHUTDOWN");
});

test("an owner may reset with force_delete; the instance is ACTIVE with service ERROR until the next report", async () => {
  const id = await api.active();
  await act(id, { restart: {} });
  api.published.length = 0;
  api.sleep(true);
  expect((await act(id, { reset_status: { force_delete: true } })).status).toBe(202);
  api.sleep(false);
  expect((await api.ask("member", `GET /instances/${id}`)).json.instance).toMatchObject({ status: "ACTIVE", operating_status: "ERROR" });
  // The guest was asked to speak at once.
  expect(api.rings).toContain(id);
  expect(await running(id)).toMatchObject([{ kind: "restart", cancel_requested: true }]);
  // Whoever carries the run is told to look.
  expect(api.published).toHaveLength(1);
  expect((await act(id, { reset_status: { force_delete: true } }, "other")).status).toBe(404);
});

test("DELETE is accepted again and again, gives quota back once, and stops what runs", async () => {
  const id = await api.active({ volume: { size: 2 } });
  const before = await api.usage();
  await act(id, { restart: {} });
  const replies = await Promise.all(Array.from({ length: 4 }, () => api.ask("member", `DELETE /instances/${id}`)));
  expect(replies.map((reply) => [reply.status, reply.text])).toEqual(Array.from({ length: 4 }, () => [202, ""]));
  expect(await api.usage()).toEqual({ instances: (before.instances ?? 0) - 1, ram: (before.ram ?? 0) - 512, volumes: (before.volumes ?? 0) - 2 });
  expect(await running(id)).toMatchObject([{ kind: "restart", cancel_requested: true }]);
  expect(await api.row(id)).toMatchObject({ desired: "absent", task: "DELETING" });
  expect(await status(id)).toBe("SHUTDOWN");
  expect((await act(id, { reset_status: {} }, "admin")).status).toBe(202);
  expect(await api.row(id)).toMatchObject({ desired: "absent", task: "DELETING" });
});

test("DELETE begins the removal when nothing runs, and takes up one that failed", async () => {
  const id = await api.active();
  expect((await api.ask("member", `DELETE /instances/${id}`)).status).toBe(202);
  expect(await running(id)).toMatchObject([{ kind: "destroy" }]);
  await api.db.owner`update operation set outcome = 'failed' where instance_id = ${id} and outcome is null`;
  const before = await api.usage();
  expect((await api.ask("member", `DELETE /instances/${id}`)).status).toBe(202);
  expect(await running(id)).toMatchObject([{ kind: "destroy" }]);
  expect(await api.usage()).toEqual(before);
  await api.put(id, { deleted_at: new Date() });
  expect((await api.ask("member", `DELETE /instances/${id}`)).status).toBe(404);
});

test("an instance that is being deleted takes no work any more", async () => {
  const id = await api.active({ users: [{ name: "alice", password: "p1" }] });
  await api.ask("member", `DELETE /instances/${id}`);
  expect((await act(id, { restart: {} })).status).toBe(422);
  expect((await api.ask("member", `DELETE /instances/${id}/users/alice`)).status).toBe(422);
  expect((await api.ask("member", `PUT /instances/${id}`, { body: { instance: { access: {} } } })).status).toBe(422);
});
