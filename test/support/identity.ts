import { serve, type ServerType } from "@hono/node-server";
import type { AddressInfo } from "node:net";
import { system } from "#core/actor";
import { enter } from "#core/context";
import { addUser, createIdentity, seedIdentity, type NewUser } from "#functions/identity/index";
import { movableClock } from "#test/support/clock";
import { testDatabase } from "#test/support/db";

export const passwords = { demo: "demo-secret", alt: "alt-secret", admin: "admin-secret", trove: "trove-secret" };
export type Name = keyof typeof passwords;

interface Thing {
  id: string;
  name: string;
  type: string;
  url: string;
  interface: string;
  endpoints: Thing[];
}

/** The bodies that tests look into; each reply has the one member that was asked for. */
interface Body {
  error: { code: number; message: string; title: string };
  versions: { values: object[] };
  version: { links: object[] };
  token: { methods: string[]; audit_ids: string[]; expires_at: string; project: Thing; roles: Thing[]; catalog: Thing[] };
  links: object;
  role_assignments: object[];
  projects: Thing[];
  users: Thing[];
  roles: Thing[];
  domains: Thing[];
  regions: Thing[];
  services: Thing[];
  endpoints: Thing[];
  project: Thing;
  user: Thing;
  role: Thing;
  domain: Thing;
  region: Thing;
  service: Thing;
  endpoint: Thing;
}

/** The embedded identity service on a port of its own, seeded, with a clock that tests move. */
export async function startIdentity({ clock = movableClock(new Date("2026-03-01T12:00:00Z")) } = {}) {
  const db = await testDatabase();
  const asSystem = <T>(work: () => Promise<T>) => enter({ db: db.system, actor: system("test"), clock }, work);
  const seeded = await asSystem(() => seedIdentity(passwords));
  let beside: ((request: Request) => Response | Promise<Response>) | undefined;
  const { server, port } = await listen((request, env) => (beside && new URL(request.url).pathname.startsWith("/v1.0") ? beside(request) : identity.fetch(request, env)));
  const url = `http://127.0.0.1:${port}/identity`;
  const options = {
    db: db.system,
    publicUrl: url,
    keyManagerUrl: `http://127.0.0.1:${port}/key-manager`,
    databaseUrl: (projectId: string) => `http://127.0.0.1:${port}/v1.0/${projectId}`,
    signingKey: Buffer.alloc(32, 7),
    clock,
    region: "RegionOne",
  };
  const identity = createIdentity(options);
  const projectOf = (user: string) => (user === "trove" ? "service" : user);

  async function send(method: string, path: string, { token, headers = {}, body }: { token?: string; headers?: Record<string, string>; body?: unknown } = {}) {
    const response = await fetch(url + path, {
      method,
      headers: { ...(token && { "x-auth-token": token }), ...(body !== undefined && { "content-type": "application/json" }), ...headers },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, body: (text ? JSON.parse(text) : {}) as Body };
  }

  const login = (name: string, password: string, project?: string) =>
    send("POST", "/v3/auth/tokens", { body: { auth: loginBody(name, password, project) } });

  /** A project-scoped token. */
  async function tokenOf(name: string, password = passwords[name as Name], project = projectOf(name)): Promise<string> {
    const reply = await login(name, password, project);
    const token = reply.headers.get("x-subject-token");
    if (!token) throw new Error(`login of ${name}: ${reply.status} ${reply.text}`);
    return token;
  }

  return {
    db,
    clock,
    url,
    options,
    seeded,
    send,
    login,
    tokenOf,
    asSystem,
    /** Answers for the databases of its catalogue from now on. */
    serveDatabases(answer: (request: Request) => Response | Promise<Response>) {
      beside = answer;
    },
    addUser: (user: NewUser) => asSystem(() => addUser(user)),
    validate: (token: string, by: string) => send("GET", "/v3/auth/tokens", { token: by, headers: { "x-subject-token": token } }),
    async close() {
      await stop(server);
      await db.close();
    },
  };
}
export type TestIdentity = Awaited<ReturnType<typeof startIdentity>>;

export const loginBody = (name: string, password: string, project?: string) => ({
  identity: { methods: ["password"], password: { user: { name, domain: { name: "Default" }, password } } },
  ...(project && { scope: { project: { name: project, domain: { id: "default" } } } }),
});

/** Serves on a free port of 127.0.0.1. */
export async function listen(answer: (request: Request, env: object) => Response | Promise<Response>) {
  return new Promise<{ server: ServerType; port: number }>((resolve) => {
    const server = serve({ fetch: answer, hostname: "127.0.0.1", port: 0 }, (info: AddressInfo) => resolve({ server, port: info.port }));
  });
}

export const stop = (server: ServerType) =>
  new Promise<void>((resolve, reject) => {
    server.close((error) => (error ? reject(error) : resolve()));
    if ("closeAllConnections" in server) server.closeAllConnections();
  });
