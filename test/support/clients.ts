import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { run, type Output } from "#test/support/service";

/** Of a row that a client prints as JSON. */
export type Row = Record<string, unknown>;
export type Cloud = "coffer" | "coffer-alt" | "coffer-admin";

/** A folder with a system of its own whose clients are taken instead of this one's, such as that of the reference. Needs root. */
const folder = process.env.COFFER_CLIENTS;

/** One of OpenStack's clients, unmodified, as it is installed here or in the folder; both see the same temporary files. */
export function client(program: string, args: string[], env: Record<string, string> = {}, timeoutMs?: number): Promise<Output> {
  if (!folder) return run(program, args, env, timeoutMs);
  const enter = 'mount --bind "$1" "$0$1" && exec chroot "$0" "${@:2}"';
  return run("unshare", ["--mount", "bash", "-c", enter, folder, tmpdir(), program, ...args], env, timeoutMs);
}

/** One of the scripts in `test/e2e/python`, by the Python that Debian's packages are for. */
export const python = async (script: string, env: Record<string, string>): Promise<Output> =>
  client("/usr/bin/python3", ["-c", await readFile(join("test/e2e/python", `${script}.py`), "utf8")], env, 180_000);

/** Words of a command line; quotes keep a blank, and an empty word. */
const wordsOf = (command: string) => command.match(/'[^']*'|\S+/g)?.map((word) => word.replace(/^'|'$/g, "")) ?? [];

/**
 * The `openstack` command with the clouds of an installation. `ended` is told of every command
 * that has ended. A command is one line, or a list of words where those hold quotes.
 */
export function openstackOf({ clouds }: { clouds: string }, { usual = "coffer", ended }: { usual?: Cloud; ended?: (words: string[], output: Output) => void } = {}) {
  const openstack = async (command: string | string[], cloud: Cloud = usual): Promise<Output> => {
    const words = typeof command === "string" ? wordsOf(command) : command;
    const output = await client("openstack", ["--os-cloud", cloud, ...words], { OS_CLIENT_CONFIG_FILE: clouds });
    ended?.(words, output);
    return output;
  };
  /** It must succeed; answers what it printed. */
  const ok = async (command: string | string[], cloud?: Cloud): Promise<string> => {
    const { code, stdout, stderr } = await openstack(command, cloud);
    expect(`${code} ${stderr}`, String(command)).toMatch(/^0 /);
    return stdout.trim();
  };
  return {
    openstack,
    ok,
    /** It must succeed; answers what it printed as JSON. */
    json: async <T = Row>(command: string, cloud?: Cloud): Promise<T> => JSON.parse(await ok(`${command} -f json`, cloud)) as T,
    /** It must fail; answers what it said. */
    refused: async (command: string | string[], cloud?: Cloud): Promise<string> => {
      const { code, stdout, stderr } = await openstack(command, cloud);
      expect(code, String(command)).not.toBe(0);
      return `${stderr}${stdout}`;
    },
  };
}

export type OpenStack = ReturnType<typeof openstackOf>;
export type User = "demo" | "alt" | "admin";

/** What a client needs to log in as one of the users of an installation, by variables. */
export async function variablesOf({ home, url }: { home: string; url: string }, user: User): Promise<Record<string, string>> {
  const { users } = JSON.parse(await readFile(join(home, "secrets.json"), "utf8")) as { users: Record<User, string> };
  return {
    OS_AUTH_URL: `${url}/identity/v3`,
    OS_USERNAME: user,
    OS_PASSWORD: users[user],
    OS_PROJECT_NAME: user,
    OS_USER_DOMAIN_NAME: "Default",
    OS_PROJECT_DOMAIN_NAME: "Default",
    OS_REGION_NAME: "RegionOne",
    OS_IDENTITY_API_VERSION: "3",
  };
}
