import { copyFile, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { freePort } from "#functions/node/listen";
import { until } from "#test/support/cluster";
import { debian, python } from "#test/support/debian/folder";

/** Debian 12 has OpenStack Zed. */
const SUITE = process.env.COFFER_OPENSTACK_SUITE ?? "bookworm";
const packages = ["python3-keystone", "uwsgi-core", "uwsgi-plugin-python3", "libfaketime"];
const PASSWORD = "keystone-admin-secret";

/** What suites look into: each reply has the one member that was asked for. */
interface Thing {
  id: string;
  secret: string;
  expires_at: string;
  project: { id: string };
}
interface Reply {
  status: number;
  headers: Headers;
  json: Record<"token" | "user" | "project" | "domain" | "service" | "application_credential", Thing> & Record<"roles" | "users" | "projects", Thing[]>;
}

/**
 * OpenStack's own Keystone on a free port of 127.0.0.1, with a domain, an administrator and his project. Installed by apt the first
 * time (65 s, 0.6 GB, as root); ready in 8 s on a quiet machine, and in 2 s when it is resumed.
 */
export async function startKeystone({ tokenSeconds = 3600 } = {}) {
  const folder = await debian({ directory: process.env.COFFER_OPENSTACK_DIR, name: "openstack", suite: SUITE, packages });
  const port = await freePort();
  const inside = `/tmp/keystone-${port}`;
  const place = join(folder, inside);
  await mkdir(place, { recursive: true });
  await copyFile(resolve("test/support/openstack/keystone.py"), join(place, "keystone.py"));
  const url = `http://127.0.0.1:${port}/v3`;
  let adminToken: string | undefined;
  let server = await serve();

  async function serve() {
    let text = "";
    const child = python(folder, `${inside}/keystone.py`, { directory: `${inside}/state`, port, password: PASSWORD, expiration: tokenSeconds });
    const look = (chunk: Buffer) => void (text = (text + chunk.toString()).slice(-4000));
    child.stdout.on("data", look);
    child.stderr.on("data", look);
    const ended = new Promise<void>((done) => child.once("exit", () => done()));
    const answers = async () => {
      if (child.exitCode !== null) throw new Error(`Keystone ended at its start:\n${text}`);
      return fetch(url).then((reply) => reply.ok, () => false);
    };
    await until(answers, "Keystone", 180_000, 50);
    return { child, ended };
  }

  async function ask(method: string, path: string, { token, subject, body }: { token?: string; subject?: string; body?: object } = {}): Promise<Reply> {
    const reply = await fetch(url + path, {
      method,
      headers: { ...(token && { "x-auth-token": token }), ...(subject && { "x-subject-token": subject }), ...(body && { "content-type": "application/json" }) },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await reply.text();
    return { status: reply.status, headers: reply.headers, json: (text === "" ? {} : JSON.parse(text)) as Reply["json"] };
  }

  /** A token for what is said in `auth` (Identity API v3, "Password authentication with scoped authorization"). */
  async function login(auth: object): Promise<string> {
    const { status, headers, json } = await ask("POST", "/auth/tokens", { body: { auth } });
    const token = headers.get("x-subject-token");
    if (status !== 201 || !token) throw new Error(`a login was answered with ${status}: ${JSON.stringify(json)}`);
    return token;
  }

  const stop = async () => {
    server.child.kill("SIGKILL");
    await server.ended;
  };
  return {
    url,
    password: PASSWORD,
    /** Of the client programs, as administrator. */
    env: clientEnv(url, { OS_USERNAME: "admin", OS_PASSWORD: PASSWORD, OS_PROJECT_NAME: "admin" }),
    ask,
    login,
    /** An administrator asks; throws what was refused. The reply's JSON. */
    async admin(method: string, path: string, body?: object) {
      const again = () => login({ identity: passwordOf("admin", PASSWORD), scope: { project: { name: "admin", domain: { id: "default" } } } });
      let reply = await ask(method, path, { token: (adminToken ??= await again()), ...(body && { body }) });
      // Its clock was moved on.
      if (reply.status === 401) reply = await ask(method, path, { token: (adminToken = await again()), ...(body && { body }) });
      const { status, json } = reply;
      if (status > 299) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(json)}`);
      return json;
    },
    /** Sets Keystone's clock that many seconds after the machine's; set back, it would not see tokens of that future revoked. */
    clock: (seconds: number) => writeFile(join(place, "state/clock"), `+${seconds}`),
    /** It takes connections and answers none, or goes on. */
    freeze: (on: boolean) => server.child.kill(on ? "SIGSTOP" : "SIGCONT"),
    /** Its database is gone, so that it answers 500, or is back. */
    async ill(on: boolean) {
      const [well, away] = [join(place, "state/keystone.sqlite"), join(place, "state/away")];
      if (on) await rename(well, away);
      else await rename(away, well);
    },
    halt: stop,
    async resume() {
      server = await serve();
    },
    log: () => readFile(join(place, "state/keystone.log"), "utf8"),
    async stop() {
      await stop();
      await rm(place, { recursive: true, force: true });
    },
  };
}
export type Keystone = Awaited<ReturnType<typeof startKeystone>>;

/** What Keystone's password method wants, of a user of a domain. */
export const passwordOf = (name: string, password: string, domain = "default") => ({ methods: ["password"], password: { user: { name, password, domain: { id: domain } } } });

/** The variables by which OpenStack's clients log in; an empty one counts as not set. */
export const clientEnv = (url: string, more: Record<string, string>): Record<string, string> => ({
  OS_AUTH_URL: url,
  OS_IDENTITY_API_VERSION: "3",
  OS_REGION_NAME: "RegionOne",
  OS_USER_DOMAIN_ID: "default",
  OS_PROJECT_DOMAIN_ID: "default",
  ...more,
});
