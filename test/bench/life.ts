import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";
import { initCluster, startServer, stopServer } from "#core/engine/postgresql/cluster";
import { percentile } from "#test/bench/load";
import { nativeOf, serverUser, temporary, until } from "#test/support/cluster";
import { installation } from "#test/support/service";


const CREATES = 10;
const AT_ONCE = 20;
const IDLE_SECONDS = 30;
const CLOCK_TICKS = 100;

/** Create to first SQL, 20 creates at once, memory, and what 20 idle instances cost the control plane. */
export async function benchLife(): Promise<void> {
  const place = await installation({ COFFER_MAX_INSTANCES: "100", COFFER_MAX_VOLUMES_GB: "1000", COFFER_HTTP_RATE_PER_MINUTE: "1000000" });
  const service = await place.start();
  try {
    const api = await client(place.url, place.clouds);
    const pid = await servicePid(service.pid);
    const rest = await memory(pid);
    const floor = await floorOfCreate();
    await pause(6000);

    const times: number[] = [];
    for (let count = 0; count < CREATES; count++) {
      const begun = performance.now();
      const id = await api.create(`one-${count}`);
      await firstSql(api, id, 20);
      times.push(performance.now() - begun);
      await api.remove(id);
      // The next one shall find a directory in the pool, as a user's next one would.
      await pause(3500);
    }
    const p50 = percentile(times, 0.5);
    console.log("\nCreate to first SQL as the new user");
    console.log(`p50 ${p50.toFixed(0)} ms, slowest ${Math.max(...times).toFixed(0)} ms of ${CREATES}; a prepared directory by hand ${floor.toFixed(0)} ms; ratio ${(p50 / floor).toFixed(1)}`);

    const begun = performance.now();
    const all = await Promise.all(
      Array.from({ length: AT_ONCE }, async (_, at) => {
        const id = await api.create(`many-${at}`);
        await firstSql(api, id, 200);
        return performance.now() - begun;
      }),
    );
    console.log(`${AT_ONCE} at once: all ACTIVE, first ${(Math.min(...all) / 1000).toFixed(1)} s, last ${(Math.max(...all) / 1000).toFixed(1)} s`);

    await pause(5000);
    const before = await cpuSeconds(pid);
    await pause(IDLE_SECONDS * 1000);
    const share = ((await cpuSeconds(pid)) - before) / IDLE_SECONDS;
    console.log(`\nIdle with ${AT_ONCE} instances: the service uses ${(share * 100).toFixed(2)} % of a core`);
    const agents = await processesWith(join(place.home, "build"), "agent.mjs");
    const agentMemory = await Promise.all(agents.map(memory));
    console.log(`Memory (PSS): service at rest ${mb(rest)}, with ${AT_ONCE} instances ${mb(await memory(pid))}; an agent ${mb(percentile(agentMemory, 0.5))}`);
  } finally {
    await service.stop();
    await place.remove();
  }
}

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));
const mb = (bytes: number) => `${(bytes / 1048576).toFixed(0)} MB`;

/** What a person would do by hand on the same machine: start a prepared directory, connect, once. Milliseconds, the median of five. */
async function floorOfCreate(): Promise<number> {
  const root = await temporary("coffer-floor-");
  try {
    const native = await nativeOf("17", root);
    const times: number[] = [];
    for (let count = 0; count < 5; count++) {
      const directory = join(root, `d${count}`);
      const as = serverUser && { as: serverUser };
      await initCluster({ native, directory, superuser: "owner", password: "floor", ...as });
      const begun = performance.now();
      await startServer({ native, directory, logFile: join(root, "log"), ...as, options: { listen_addresses: "127.77.1.1", port: "5432", unix_socket_directories: "" } });
      const sql = postgres("postgres://owner:floor@127.77.1.1:5432/postgres", { max: 1, backoff: () => 0.005, connect_timeout: 1 });
      await until(() => sql`select 1`.then(() => true, () => false), "the server");
      times.push(performance.now() - begun);
      await sql.end();
      await stopServer(directory);
    }
    return percentile(times, 0.5);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

interface Seen {
  status: string;
  ip?: string[];
  fault?: { message: string };
}

async function client(url: string, clouds: string) {
  const password = /password: "([^"]+)"/.exec(await readFile(clouds, "utf8"))?.[1] ?? "";
  const domain = { name: "Default" };
  const login = await fetch(`${url}/identity/v3/auth/tokens`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      auth: {
        identity: { methods: ["password"], password: { user: { name: "demo", domain, password } } },
        scope: { project: { name: "demo", domain } },
      },
    }),
  });
  const token = login.headers.get("x-subject-token") ?? "";
  const { token: details } = (await login.json()) as { token: { project: { id: string } } };
  const base = `${url}/v1.0/${details.project.id}/instances`;
  const headers = { "x-auth-token": token, "content-type": "application/json" };
  return {
    async create(name: string): Promise<string> {
      const instance = { name, flavorRef: "1", volume: { size: 1 }, databases: [{ name: "app" }], users: [{ name: "alice", password: "secret", databases: [{ name: "app" }] }] };
      const reply = await fetch(base, { method: "POST", headers, body: JSON.stringify({ instance }) });
      if (reply.status !== 200) throw new Error(await reply.text());
      return ((await reply.json()) as { instance: { id: string } }).instance.id;
    },
    async show(id: string): Promise<Seen> {
      const reply = await fetch(`${base}/${id}`, { headers });
      return ((await reply.json()) as { instance: Seen }).instance;
    },
    async remove(id: string): Promise<void> {
      await fetch(`${base}/${id}`, { method: "DELETE", headers });
      await until(async () => (await fetch(`${base}/${id}`, { headers })).status === 404, "the instance to go");
    },
  };
}

/** Polls as a patient client does: the polls shall not be what is measured. */
async function firstSql(api: Awaited<ReturnType<typeof client>>, id: string, everyMs: number): Promise<void> {
  let seen = await api.show(id);
  for (; seen.status !== "ACTIVE"; seen = await api.show(id)) {
    if (seen.status === "ERROR") throw new Error(seen.fault?.message);
    await pause(everyMs);
  }
  const sql = postgres(`postgres://alice:secret@${seen.ip?.[0]}:5432/app`, { max: 1, ssl: { rejectUnauthorized: false } });
  await sql`select 1`;
  await sql.end();
}

/** npm runs the script through a shell, which becomes node: the newest descendant is the service. */
async function servicePid(parent: number): Promise<number> {
  const children = await readFile(`/proc/${parent}/task/${parent}/children`, "utf8").catch(() => "");
  const child = Number(children.trim().split(" ")[0]);
  return child ? servicePid(child) : parent;
}

async function memory(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8").catch(() => "");
  return Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0) * 1024;
}

async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
}

async function processesWith(...words: string[]): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return pids.filter((_, at) => words.every((word) => lines[at]?.includes(word))).map(Number);
}
