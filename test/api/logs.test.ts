import { afterAll, beforeAll, expect, test } from "vitest";
import { like, nobody, startApi, type Api, type Person } from "#test/api/rig";

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

interface Log {
  name: string;
  status: string;
  published: number;
  pending: number;
  container: string;
  prefix: string;
}
const post = (id: string, body: unknown, person: Person = "member") => api.ask(person, `POST /instances/${id}/log`, { body });
const operate = async (id: string, body: unknown, person: Person = "member"): Promise<Log> => {
  const reply = await post(id, body, person);
  expect([reply.status, reply.text]).toEqual([200, expect.anything()]);
  return (reply.json as unknown as { log: Log }).log;
};
const list = async (id: string, person: Person = "member") => (((await api.ask(person, `GET /instances/${id}/log`)).json as unknown) as { logs: Log[] }).logs;
/** The guest reports this of its log. */
const reports = (id: string, change: Record<string, unknown>) =>
  api.db.owner`update guest set logs = ${api.db.owner.json([{ name: "general", type: "USER", enabled: true, published: 0, pending: 0, rotated: false, ...change }] as never)} where instance_id = ${id}`;

test("a member sees what an owner may turn on, an administrator the guest's own log as well", async () => {
  const id = await api.active();
  expect(await list(id)).toEqual([
    { name: "general", type: "USER", status: "Disabled", published: 0, pending: 0, container: "None", prefix: "None", metafile: `${id}/postgresql-general_metafile` },
  ]);
  expect((await list(id, "admin")).map(({ name, status }) => [name, status])).toEqual([["general", "Disabled"], ["guest", "Ready"]]);
  expect((await list(id, "reader")).length).toBe(1);
});

test.each<[string, Record<string, unknown>]>([
  ["Disabled", { enabled: false, pending: 5, published: 5 }],
  ["Enabled", {}],
  ["Ready", { pending: 5 }],
  ["Published", { published: 5 }],
  ["Partial", { published: 5, pending: 5 }],
  ["Rotated", { published: 5, pending: 5, rotated: true }],
])("a log shows %s for what the guest reports", async (status, reported) => {
  const id = await api.active();
  await reports(id, reported);
  const shown = await operate(id, { name: "general" });
  expect(shown).toMatchObject({ status, container: reported.published ? "database_logs" : "None", prefix: reported.published ? `${id}/postgresql-general/` : "None" });
  expect(await list(id)).toEqual([shown]);
});

test("showing asks no guest; every action is one job that carries what is asked and where to", async () => {
  const id = await api.active();
  await operate(id, { name: "general" });
  expect(await api.jobs(id)).toHaveLength(1);
  api.sleep(true);
  const asked = [{ enable: 1 }, { disable: true }, { publish: 1 }, { publish: 1, disable: 1 }, { discard: 1 }, { enable: 0, publish: 1, discard: true }];
  const pending = asked.map((wish) => post(id, { name: "general", ...wish }));
  await expect.poll(async () => (await api.jobs(id)).length).toBe(7);
  const to = { projectId: "p1", prefix: `${id}/postgresql-general/` };
  const specs = (await api.jobs(id)).slice(1).map(({ spec }) => spec);
  expect(specs).toEqual(expect.arrayContaining([
    { name: "general", enable: true, publish: false, discard: false, to },
    { name: "general", enable: false, publish: false, discard: false, to },
    { name: "general", enable: true, publish: true, discard: false, to },
    { name: "general", enable: false, publish: true, discard: false, to },
    { name: "general", publish: false, discard: true, to },
    { name: "general", enable: true, publish: true, discard: true, to },
  ]));
  await api.guestActs(id);
  api.sleep(false);
  expect((await Promise.all(pending)).map(({ status }) => status)).toEqual(asked.map(() => 200));
});

test("the life of a log: enabled, published, discarded, disabled, without a change of the instance's status", async () => {
  const id = await api.active();
  expect((await operate(id, { name: "general", enable: 1 })).status).toBe("Enabled");
  await reports(id, { pending: 100 });
  expect(await operate(id, { name: "general", publish: 1 })).toMatchObject({ status: "Published", published: 100, pending: 0, container: "database_logs" });
  expect(await operate(id, { name: "general", discard: 1 })).toMatchObject({ status: "Ready", published: 0, pending: 100, container: "None" });
  expect((await operate(id, { name: "general", disable: 1 })).status).toBe("Disabled");
  expect((await api.ask("member", `GET /instances/${id}`)).json.instance).toMatchObject({ status: "ACTIVE", operating_status: "HEALTHY" });
});

test("the guest's own log goes to the account of the administrator who asks, out of the owner's sight", async () => {
  const id = await api.active();
  expect(await operate(id, { name: "guest", publish: 1 }, "admin")).toMatchObject({ status: "Published", published: 70 });
  api.sleep(true);
  const asked = post(id, { name: "guest", publish: 1 }, "admin");
  await expect.poll(async () => (await api.jobs(id)).length).toBe(3);
  expect((await api.jobs(id))[2]?.spec).toEqual({ name: "guest", publish: true, discard: false, to: { projectId: "ops", prefix: `${id}/postgresql-guest/` } });
  await api.guestActs(id);
  api.sleep(false);
  await asked;
});

test.each<[string, Person, unknown, RegExp]>([
  ["an unknown log", "member", { name: "slow_query", publish: 1 }, /There is no log 'slow_query' of this instance; there are: general\./],
  ["an unknown log that is shown", "member", { name: "nothing" }, /There is no log 'nothing'/],
  ["the guest's log, by its owner", "member", { name: "guest", publish: 1 }, /There is no log 'guest'/],
  ["the guest's log, shown to its owner", "member", { name: "guest" }, /There is no log 'guest'/],
  ["turning a SYS log off", "admin", { name: "guest", disable: 1 }, /of type SYS: it is always on/],
  ["turning a SYS log on", "admin", { name: "guest", enable: 1 }, /of type SYS/],
  ["on and off at once", "member", { name: "general", enable: 1, disable: 1 }, /cannot be enabled and disabled/],
  ["no name", "member", { publish: 1 }, /'name' is a required property/],
  ["a name that is none", "member", { name: 5 }, /name/],
  ["a flag that is none", "member", { name: "general", publish: "yes" }, /publish/],
  ["a flag of 2", "member", { name: "general", publish: 2 }, /publish/],
])("%s is a 400 that says why, and no job", async (_, person, body, why) => {
  const id = await api.active();
  const reply = await post(id, body, person);
  expect([reply.status, reply.text]).toEqual([400, like(why)]);
  expect(await api.jobs(id)).toHaveLength(1);
});

test("a guest that fails or is silent is a 400; what was asked is done later", async () => {
  const id = await api.active();
  api.cannot.add("log");
  const failed = await post(id, { name: "general", publish: 1 });
  expect([failed.status, failed.text]).toEqual([400, like(/the guest cannot log/)]);
  api.cannot.clear();
  api.sleep(true);
  const late = await post(id, { name: "general", enable: 1 });
  expect([late.status, late.text]).toEqual([400, like(/still queued/)]);
  await api.guestActs(id);
  api.sleep(false);
  expect((await list(id))[0]?.status).toBe("Enabled");
});

test("no gate but the load gate: not yet built 422, unknown and another's 404, a reader only reads", async () => {
  const fresh = await api.create();
  expect([(await api.ask("member", `GET /instances/${fresh}/log`)).status, (await post(fresh, { name: "general", publish: 1 })).status]).toEqual([422, 422]);
  const id = await api.active();
  for (const [person, at] of [["other", id], ["member", nobody]] as const) {
    expect([(await api.ask(person, `GET /instances/${at}/log`)).status, (await post(at, { name: "general" }, person)).status]).toEqual([404, 404]);
  }
  expect((await post(id, { name: "general" }, "reader")).status).toBe(403);
  await api.put(id, { task: "RESTART_REQUIRED", service_status: "crashed" });
  expect((await operate(id, { name: "general", enable: 1 })).status).toBe("Enabled");
});

test("an installation without an object store says so: 501", async () => {
  const without = await startApi({ store: false });
  try {
    const id = await without.active();
    for (const reply of [await without.ask("member", `GET /instances/${id}/log`), await without.ask("member", `POST /instances/${id}/log`, { body: { name: "general" } })]) {
      expect([reply.status, reply.text]).toEqual([501, like(/this installation has none/)]);
    }
  } finally {
    await without.close();
  }
});
