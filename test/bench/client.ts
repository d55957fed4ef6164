import { readFile } from "node:fs/promises";
import postgres from "postgres";
import { until } from "#test/support/cluster";

export const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

export interface Seen {
  status: string;
  operating_status: string;
  volume: { size: number; used?: number; read_only_since?: string };
  ip?: string[];
  fault?: { message: string };
}

/** A user of project demo, with the password from clouds.yaml. */
export async function client(url: string, clouds: string) {
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
    async resizeVolume(id: string, size: number): Promise<void> {
      const reply = await fetch(`${base}/${id}/action`, { method: "POST", headers, body: JSON.stringify({ resize: { volume: { size } } }) });
      if (reply.status !== 202) throw new Error(await reply.text());
    },
    async remove(id: string): Promise<void> {
      await fetch(`${base}/${id}`, { method: "DELETE", headers });
      await until(async () => (await fetch(`${base}/${id}`, { headers })).status === 404, "the instance to go");
    },
  };
}

/** Polls as a patient client does: the polls shall not be what is measured. */
export async function firstSql(api: Awaited<ReturnType<typeof client>>, id: string, everyMs: number): Promise<void> {
  let seen = await api.show(id);
  for (; seen.status !== "ACTIVE"; seen = await api.show(id)) {
    if (seen.status === "ERROR") throw new Error(seen.fault?.message);
    await pause(everyMs);
  }
  const sql = postgres(`postgres://alice:secret@${seen.ip?.[0]}:5432/app`, { max: 1, ssl: { rejectUnauthorized: false } });
  await sql`select 1`;
  await sql.end();
}
