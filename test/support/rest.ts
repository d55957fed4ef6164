import { readFile } from "node:fs/promises";
import { join } from "node:path";

export interface Shown {
  id: string;
  name: string;
  status: string;
  operating_status: string;
  flavor: { id: string };
  volume: { size: number };
  datastore: { version: string };
  ip?: string[];
  fault?: { message: string };
}

/** The Trove API of a started service over plain HTTP, as one of its users; a token per service start is fetched when needed. */
export function rest({ home, url }: { home: string; url: string }, user: "demo" | "admin" = "demo") {
  let session: { token: string; project: string } | undefined;

  const login = async () => {
    const { users } = JSON.parse(await readFile(join(home, "secrets.json"), "utf8")) as { users: Record<typeof user, string> };
    const domain = { name: "Default" };
    const auth = {
      identity: { methods: ["password"], password: { user: { name: user, password: users[user], domain } } },
      scope: { project: { name: user, domain } },
    };
    const reply = await fetch(`${url}/identity/v3/auth/tokens`, { method: "POST", body: JSON.stringify({ auth }), headers: { "content-type": "application/json" } });
    const { token } = (await reply.json()) as { token: { project: { id: string } } };
    return { token: reply.headers.get("x-subject-token") ?? "", project: token.project.id };
  };

  /** Answers status and body; rejects when the connection breaks. `{project}` in the path is the user's. */
  const ask = async <T>(method: string, path: string, body?: object): Promise<{ status: number; body: T }> => {
    const { token, project } = (session ??= await login());
    const reply = await fetch(`${url}/v1.0/${project}${path.replace("{project}", project)}`, {
      method,
      headers: { "x-auth-token": token, "content-type": "application/json" },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await reply.text();
    return { status: reply.status, body: (text === "" ? {} : JSON.parse(text)) as T };
  };

  /** What must succeed. */
  const read = async <T>(path: string): Promise<T> => {
    const { status, body } = await ask<T>("GET", path);
    if (status !== 200) throw new Error(`GET ${path} was answered with ${status}: ${JSON.stringify(body)}`);
    return body;
  };

  return {
    ask,
    create: (name: string, version = "17") =>
      ask<{ instance: Shown }>("POST", "/instances", {
        instance: {
          name,
          flavorRef: "1",
          volume: { size: 1 },
          datastore: { type: "postgresql", version },
          databases: [{ name: "app" }],
          users: [{ name: "alice", password: "pw-of-alice", databases: [{ name: "app" }] }],
        },
      }),
    list: async () => (await read<{ instances: Shown[] }>("/instances")).instances,
    show: async (id: string) => (await read<{ instance: Shown }>(`/instances/${id}`)).instance,
    /** Names of databases or users of an instance. */
    names: async (id: string, of: "databases" | "users") => {
      const body = await read<Record<string, { name: string }[]>>(`/instances/${id}/${of}`);
      return (body[of] ?? []).map(({ name }) => name).sort();
    },
    /** What the project uses, by resource. */
    usage: async () => {
      const { quotas } = await read<{ quotas: { resource: string; in_use: number }[] }>("/mgmt/quotas/{project}");
      return Object.fromEntries(quotas.map(({ resource, in_use }) => [resource, in_use]));
    },
  };
}
