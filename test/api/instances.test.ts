import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { like, nobody, startApi, type Api } from "#test/api/rig";

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

test("create answers 200 with the row, in BUILD, and commits quota, job, operation and message", async () => {
  const before = await api.usage();
  const reply = await api.ask("member", "POST /instances", {
    ...api.wish({
      databases: [{ name: "app", character_set: "utf8" }],
      users: [{ name: "alice", password: "se cret", databases: [{ name: "app" }] }],
      access: { is_public: false, allowed_cidrs: ["10.0.0.0/8"] },
    }),
    headers: { host: "cloud.example:8779", "x-forwarded-proto": "https" },
  });
  expect(reply.status).toBe(200);
  const { instance } = reply.json;
  expect(instance).toEqual({
    id: like(/^[0-9a-f-]{36}$/),
    name: "orders",
    status: "BUILD",
    operating_status: "",
    links: [
      { href: `https://cloud.example:8779/v1.0/p1/instances/${instance.id}`, rel: "self" },
      { href: `https://cloud.example:8779/instances/${instance.id}`, rel: "bookmark" },
    ],
    flavor: { id: "1", links: expect.any(Array) as [] },
    datastore: { type: "postgresql", version: "17", version_number: "17.10" },
    region: "RegionOne",
    access: { is_public: false, allowed_cidrs: ["10.0.0.0/8"] },
    volume: { size: 1 },
    created: like(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/),
    updated: instance.created,
    service_status_updated: instance.created,
  });
  const after = await api.usage();
  expect(after).toEqual({ instances: (before.instances ?? 0) + 1, ram: (before.ram ?? 0) + 512, volumes: (before.volumes ?? 0) + 1 });
  const [job] = await api.jobs(instance.id);
  expect(job).toMatchObject({
    kind: "prepare",
    state: "queued",
    spec: {
      memoryMb: 512,
      volumeGb: 1,
      cidrs: ["10.0.0.0/8"],
      databases: [{ name: "app", characterSet: "utf8" }],
      users: [{ name: "alice", databases: ["app"], verifier: like(/^SCRAM-SHA-256\$/) }],
    },
  });
  expect(JSON.stringify(job)).not.toContain("se cret");
  const [operation] = await api.db.owner`select * from operation where instance_id = ${instance.id}`;
  expect(operation).toMatchObject({ kind: "create", outcome: null, actor: "ann", request_id: reply.headers.get("x-openstack-request-id") });
  expect(api.published.map((body) => JSON.parse(body) as unknown)).toContainEqual({ topic: "operation.run", operationId: operation?.id as string, run: 1 });
  const [unsent] = await api.db.owner`select count(*)::int as count from outbox where sent_at is null`;
  expect(unsent?.count).toBe(0);
});

test("without access everyone may connect, with an empty list nobody", async () => {
  const open = await api.create();
  const closed = await api.create({ access: { allowed_cidrs: [] } });
  expect((await api.jobs(open))[0]?.spec).toMatchObject({ cidrs: null });
  expect((await api.jobs(closed))[0]?.spec).toMatchObject({ cidrs: [] });
  expect((await api.ask("member", `GET /instances/${open}`)).json.instance.access).toEqual({});
  expect((await api.ask("member", `GET /instances/${closed}`)).json.instance.access).toEqual({ allowed_cidrs: [] });
});

test.each<[string, Record<string, unknown>, number, RegExp]>([
  ["no name", { name: undefined }, 400, /Validation error: instance 'name' is a required property/],
  ["a name without letter or digit", { name: "---" }, 400, /instance\['name'\] '---' does not match/],
  ["a name of 256 characters", { name: "x".repeat(256) }, 400, /is too long/],
  ["no flavor", { flavorRef: undefined }, 400, /Flavor None/],
  ["an unknown flavor", { flavorRef: "99" }, 400, /Flavor 99/],
  ["no volume", { volume: undefined }, 400, /volume size is required/],
  ["a volume of nothing", { volume: { size: 0 } }, 400, /0 is less than the minimum of 1/],
  ["a volume above the largest", { volume: { size: 11 } }, 413, /10 GB/],
  ["an unknown datastore", { datastore: { type: "oracle" } }, 404, /'oracle'/],
  ["an unknown version by name", { datastore: { type: "postgresql", version: "9" } }, 400, /'9'/],
  ["an unknown version by id", { datastore: { version: nobody } }, 404, new RegExp(nobody)],
  ["an unknown key in datastore", { datastore: { manager: "x" } }, 400, /Additional properties are not allowed \('manager' was unexpected\)/],
  ["a reserved database", { databases: [{ name: "postgres" }] }, 400, /reserved/],
  ["a template database", { databases: [{ name: "template1" }] }, 400, /reserved/],
  ["the same database twice", { databases: [{ name: "ab" }, { name: "ab" }] }, 400, /twice/],
  ["a database of 64 bytes", { databases: [{ name: "ü".repeat(31) + "ab" }] }, 400, /63 bytes/],
  ["a reserved user", { users: [{ name: "os_admin", password: "p" }] }, 400, /reserved/],
  ["a pg_ user", { users: [{ name: "pg_me", password: "p" }] }, 400, /reserved/],
  ["a user of a database that is not in the request", { users: [{ name: "al", password: "p", databases: [{ name: "zz" }] }] }, 400, /'zz'/],
  ["the same user twice", { users: [{ name: "al", password: "p" }, { name: "al", password: "q", host: "10.0.0.1" }] }, 400, /'al' is given twice/],
  ["two nics", { nics: [{ network_id: nobody }, { network_id: nobody }] }, 400, /is too long/],
  ["a nic with a fixed address of old", { nics: [{ "v4-fixed-ip": "10.0.0.1" }] }, 400, /instance\['nics'\]\[0\] Additional properties/],
  ["a nic without network", { nics: [{}] }, 400, /network or a subnet/],
  ["an address without subnet", { nics: [{ network_id: nobody, ip_address: "10.0.0.1" }] }, 400, /needs a subnet/],
  ["an unknown locality", { locality: "anywhere" }, 400, /is not one of/],
  ["a cidr with an octet out of range", { access: { allowed_cidrs: ["10.0.0.256/8"] } }, 400, /allowed_cidrs/],
  ["the same cidr twice", { access: { allowed_cidrs: ["10.0.0.0/8", "10.0.0.0/8"] } }, 400, /non-unique/],
  ["another region", { region_name: "Mars" }, 400, /Mars/],
  ["replica_count alone", { replica_count: 2 }, 400, /replica_of/],
  ["a replica with a flavor", { replica_of: nobody }, 400, /'flavorRef' cannot be given/],
  ["too many replicas", { replica_count: 5 }, 400, /5 is greater than the maximum of 3/],
  ["a backup to restore", { restorePoint: { backupRef: nobody } }, 404, /Backup .* cannot be found/],
])("create is refused for %s and charges nothing", async (_, change, status, text) => {
  const before = await api.usage();
  const reply = await api.ask("member", "POST /instances", api.wish(change));
  expect([reply.status, reply.text]).toEqual([status, like(text)]);
  const [fault] = Object.values(reply.json) as { code: number }[];
  expect(fault?.code).toBe(status);
  expect(await api.usage()).toEqual(before);
});

test("a refused password is not repeated in the error", async () => {
  const secret = "hunter".repeat(60);
  const reply = await api.ask("member", "POST /instances", api.wish({ users: [{ name: "al", password: secret }] }));
  expect(reply.status).toBe(400);
  expect(reply.text).not.toContain("hunter");
});

test("sizes and flavors come as numbers, digits and hrefs", async () => {
  const id = await api.create({ flavorRef: "http://cloud/v1.0/flavors/2", volume: { size: "05", type: null } });
  expect(await api.row(id)).toMatchObject({ flavor_id: "2", volume_gb: 5 });
  const other = await api.create({ flavorRef: 1 });
  expect(await api.row(other)).toMatchObject({ flavor_id: "1" });
});

test("a foreign instance is a 404 for members and visible to admins through their own project", async () => {
  const id = await api.active();
  const refused = await api.ask("other", `GET /instances/${id}`);
  expect([refused.status, refused.json]).toEqual([404, { itemNotFound: { code: 404, message: `Instance ${id} cannot be found.` } }]);
  expect((await api.ask("other", `DELETE /instances/${id}`)).status).toBe(404);
  expect((await api.ask("other", `PUT /instances/${id}`, { body: { instance: { name: "mine" } } })).status).toBe(404);
  const { instance } = (await api.ask("admin", `GET /instances/${id}`)).json;
  expect(instance).toMatchObject({ id, tenant_id: "p1", server_id: null, encrypted_rpc_messaging: true });
  expect(instance.links[0]?.href).toContain("/v1.0/ops/instances/");
});

test("a word that is no id is a 404, as clients that try names expect", async () => {
  expect((await api.ask("member", "GET /instances/orders")).status).toBe(404);
  expect((await api.ask("member", `GET /instances/${nobody}`)).status).toBe(404);
});

test("show says what the guest reported: address, usage, health", async () => {
  const id = await api.active();
  await api.put(id, { volume_used_bytes: 2 ** 28, volume_total_bytes: 2 ** 30 });
  const { instance } = (await api.ask("reader", `GET /instances/${id}`)).json;
  expect(instance).toMatchObject({
    status: "ACTIVE",
    operating_status: "HEALTHY",
    ip: ["127.1.2.3"],
    addresses: [{ address: "127.1.2.3", type: "private" }],
    access: { is_public: false },
    volume: { size: 1, used: 0.25, used_percent: 25 },
  });
  expect(instance).not.toHaveProperty("port");
  expect(instance).not.toHaveProperty("tenant_id");
  for (const key of ["replicas", "replica_of", "fault", "configuration", "locality"]) expect(instance).not.toHaveProperty(key);
  await api.put(id, { port: 15432, service_status_at: new Date(Date.now() - 91_000) });
  expect((await api.ask("member", `GET /instances/${id}`)).json.instance).toMatchObject({ port: 15432, operating_status: "ERROR" });
  await api.put(id, { port: 5432, task: "REBOOTING" });
  const busy = (await api.ask("member", `GET /instances/${id}`)).json.instance;
  expect(busy).toMatchObject({ status: "REBOOT", operating_status: "", volume: { size: 1 } });
  expect(busy.volume).not.toHaveProperty("used");
  expect(busy).not.toHaveProperty("port");
});

test("a fault shows its details to admins only", async () => {
  const id = await api.active();
  await api.put(id, { task: "BUILDING_ERROR", fault_message: "no room", fault_details: "host 7", fault_at: new Date("2026-01-02T03:04:05Z") });
  const fault = { message: "no room", created: "2026-01-02T03:04:05" };
  expect((await api.ask("member", `GET /instances/${id}`)).json.instance).toMatchObject({ status: "ERROR", fault: { ...fault, details: null } });
  expect((await api.ask("admin", `GET /instances/${id}`)).json.instance.fault).toEqual({ ...fault, details: "host 7" });
});

test("a nearly full volume shows as read-only, with a fault that says what to do, until it is over", async () => {
  const id = await api.active();
  const since = new Date("2026-01-02T03:04:05Z");
  await api.put(id, { read_only_since: since, volume_used_bytes: 2 ** 30, volume_total_bytes: 2 ** 30, fault_message: "earlier", fault_at: new Date(since.getTime() - 1000) });
  const show = async () => (await api.ask("member", `GET /instances/${id}`)).json.instance as { fault: { message: string }; volume: object };
  expect(await show()).toMatchObject({
    status: "ACTIVE",
    operating_status: "ACTIVE",
    volume: { size: 1, used: 1, used_percent: 100, read_only_since: "2026-01-02T03:04:05" },
    fault: { created: "2026-01-02T03:04:05", details: null },
  });
  expect((await show()).fault.message).toMatch(/volume.full.*Resize the volume/);
  await api.put(id, { fault_message: "later", fault_at: new Date(since.getTime() + 1000) });
  expect((await show()).fault.message).toBe("later");
  await api.put(id, { read_only_since: null, fault_message: null });
  expect((await show()).volume).not.toHaveProperty("read_only_since");
  expect(await show()).not.toHaveProperty("fault");
});

test.each(["/instances/ID", "/instances", "/instances/detail", "/instances/ID/users", "/instances/ID/databases"])(
  "GET %s costs one round trip to the database",
  async (path) => {
    const id = await api.active();
    const trips = [vi.spyOn(api.db.app, "look"), vi.spyOn(api.db.app, "pipeline"), vi.spyOn(api.db.app, "begin")];
    expect((await api.ask("member", `GET ${path.replace("ID", id)}`)).status).toBe(200);
    expect(trips.map((one) => one.mock.calls.length)).toEqual([1, 0, 0]);
    vi.restoreAllMocks();
  },
);

test("lists are the project's own, page by id, newest first inside a page, and name the next page", async () => {
  const own = await Promise.all([1, 2, 3, 4, 5].map((n) => api.create({ name: `page ${n}` }, "other")));
  const pages: string[][] = [];
  let path = "/instances?limit=2&include_clustered=False";
  while (path) {
    const reply = await api.ask("other", `GET ${path}`, { headers: { host: "h" } });
    expect(reply.status).toBe(200);
    const { instances, links = [] } = reply.json;
    pages.push(instances.map((one) => one.id));
    expect(instances.map((one) => one.created)).toEqual(instances.map((one) => one.created).sort().reverse());
    const [next] = links;
    if (next) expect(next).toMatchObject({ rel: "next", href: `http://h/v1.0/p2/instances?limit=2&include_clustered=False&marker=${[...(pages.at(-1) ?? [])].sort()[1]}` });
    path = next ? next.href.replace("http://h/v1.0/p2", "") : "";
  }
  expect(pages.map((one) => one.length)).toEqual([2, 2, 1]);
  expect(pages.flatMap((one) => [...one].sort())).toEqual([...own].sort());
  const asAdmin = (await api.ask("admin", "GET /instances")).json;
  expect(asAdmin).toEqual({ instances: [] });
});

test("a limit above the page size is lowered silently", async () => {
  await Promise.all(Array.from({ length: 21 }, () => api.create()));
  expect((await api.ask("member", "GET /instances?limit=1000")).json.instances).toHaveLength(20);
  expect((await api.ask("member", "GET /instances/detail")).json.instances[0]).toHaveProperty("datastore.version_number");
});

test.each(["limit=0", "limit=-1", "limit=x", "limit=", "marker=x", "marker=%00"])("a list with ?%s is a 400", async (query) => {
  expect((await api.ask("member", `GET /instances?${query}`)).status).toBe(400);
});

test("PUT and PATCH rename, 202 and no bytes", async () => {
  const id = await api.active();
  for (const [method, name] of [["PUT", "one"], ["PATCH", "two"]]) {
    const reply = await api.ask("member", `${method} /instances/${id}`, { body: { instance: { name } } });
    expect([reply.status, reply.text, reply.headers.get("content-type"), reply.headers.get("content-length")]).toEqual([202, "", "application/json", "0"]);
    expect((await api.row(id)).name).toBe(name);
  }
});

test.each<[string, unknown, number, RegExp]>([
  ["PUT", { instance: {} }, 202, /^$/],
  ["PUT", { instance: { configuration: null } }, 202, /^$/],
  ["PATCH", { instance: { configuration: null } }, 202, /^$/],
  ["PUT", { instance: { configuration: nobody } }, 404, /Configuration group/],
  ["PUT", { instance: { configuration: "http://x/1" } }, 400, /configuration/],
  ["PUT", { instance: { replica_of: "" } }, 400, /is not a replica/],
  ["PATCH", { instance: { slave_of: null } }, 400, /is not a replica/],
  ["PUT", { instance: { slave_of: null } }, 400, /'slave_of' was unexpected/],
  ["PATCH", { instance: { datastore_version: "17" } }, 202, /^$/],
  ["PUT", { instance: { datastore_version: "17" } }, 202, /^$/],
  ["PATCH", { instance: { datastore_version: "18" } }, 400, /datastore_version: postgresql 18 does not read the data of postgresql 17/],
  ["PATCH", { instance: { datastore_version: "16" } }, 400, /datastore_version: postgresql 16 does not read the data of postgresql 17/],
  ["PATCH", { instance: { datastore_version: "nobody" } }, 400, /Datastore version 'nobody' cannot be found/],
  ["PATCH", { instance: { datastore_version: nobody } }, 404, /cannot be found/],
  ["PATCH", { instance: { datastore_version: "" } }, 400, /datastore_version/],
  ["PATCH", { instance: { access: {} } }, 400, /'access' was unexpected/],
  ["PUT", { instance: { access: { is_public: false, open: 1 } } }, 400, /'open' was unexpected/],
  ["PUT", { instance: { configuration: null, datastore_version: "18" } }, 400, /one of/],
  ["PUT", {}, 400, /'instance' is a required property/],
  ["PUT", { instance: { name: "" } }, 400, /instance\['name'\] '' is too short/],
  ["PUT", [], 400, /is not of type 'object'/],
])("%s %j answers %i", async (method, body, status, text) => {
  const id = await api.active();
  const reply = await api.ask("member", `${method} /instances/${id}`, { body });
  expect([reply.status, reply.text]).toEqual([status, like(text)]);
});

test("a name is changed even if what came with it is refused", async () => {
  const id = await api.active();
  const reply = await api.ask("member", `PUT /instances/${id}`, { body: { instance: { name: "kept", replica_of: null } } });
  expect([reply.status, (await api.row(id)).name]).toEqual([400, "kept"]);
});

test("an instance without a server is not ready to be renamed", async () => {
  const id = await api.create();
  const reply = await api.ask("member", `PUT /instances/${id}`, { body: { instance: { name: "early" } } });
  expect([reply.status, reply.json]).toEqual([422, { unprocessableEntity: { code: 422, message: like(/is not ready/) } }]);
});

test("an access update begins its operation, keeps CIDRs that are not named, and shows ACTIVE meanwhile", async () => {
  const id = await api.active({ access: { is_public: true, allowed_cidrs: ["10.0.0.0/8"] } });
  expect((await api.ask("member", `PUT /instances/${id}`, { body: { instance: { access: {} } } })).status).toBe(202);
  const [run] = await api.db.owner`select kind, input from operation where instance_id = ${id} and outcome is null`;
  expect(run).toEqual({ kind: "update_access", input: { access: { is_public: false, allowed_cidrs: ["10.0.0.0/8"] } } });
  expect((await api.ask("member", `GET /instances/${id}`)).json.instance).toMatchObject({ status: "ACTIVE", operating_status: "" });
  const again = await api.ask("member", `PUT /instances/${id}`, { body: { instance: { access: { is_public: true } } } });
  expect([again.status, again.text]).toEqual([422, like(/task status was UPDATING/)]);
});

test("a failed access update may be tried again", async () => {
  const id = await api.active();
  await api.put(id, { task: "UPDATING_ERROR" });
  const body = { instance: { access: { allowed_cidrs: [] } } };
  expect((await api.ask("member", `PUT /instances/${id}`, { body })).status).toBe(202);
});

test("the timeline tells what an instance went through, also after it is gone", async () => {
  const id = await api.create();
  const [run] = await api.db.owner<{ id: string }[]>`
    update operation set outcome = 'failed', finished_at = now(),
      failure = ${api.db.owner.json({ code: "driver.timeout", label: "volume", message: "too slow", next: "Try again." })}
    where instance_id = ${id} returning id`;
  await api.db.owner`insert into operation_step (operation_id, project_id, run, label, attempt, started_at, finished_at, polls, outcome, error)
    values (${run?.id ?? ""}, 'p1', 1, 'volume', 0, now(), now(), 3, 'error', 'too slow')`;
  await api.put(id, { deleted_at: new Date() });
  const reply = await api.ask("member", `GET /instances/${id}/operations`);
  expect(reply.json).toEqual({
    operations: [
      expect.objectContaining({
        id: run?.id,
        kind: "create",
        status: "failed",
        run: 1,
        label: "start",
        error: { code: "driver.timeout", message: "too slow", label: "volume", next: "Try again." },
        request_id: like(/^req-/),
        steps: [expect.objectContaining({ label: "volume", attempt: 0, polls: 3, outcome: "error", error: "too slow" }) as object],
      }),
    ],
  });
  expect((await api.ask("other", `GET /instances/${id}/operations`)).status).toBe(404);
  expect((await api.ask("member", `GET /instances/${id}`)).status).toBe(404);
});

test("an upgrade shows UPGRADE and the new version at once, and what runs is waited for", async () => {
  const id = await api.active();
  const upgrade = () => api.ask("member", `PATCH /instances/${id}`, { body: { instance: { datastore_version: "17" } } });
  expect((await upgrade()).status).toBe(202);
  const { status, operating_status, datastore } = (await api.ask("member", `GET /instances/${id}`)).json.instance;
  expect([status, operating_status, (datastore as { version: string }).version]).toEqual(["UPGRADE", "", "17"]);
  expect((await upgrade()).status).toBe(422);
});
