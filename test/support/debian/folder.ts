import { spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { run } from "#test/support/service";

export interface Folder {
  /** Kept between runs; default: `coffer-<name>` under the system's temporary directory. */
  directory: string | undefined;
  /** What it is for. */
  name: string;
  /** Release of Debian. */
  suite: string;
  packages: string[];
}

/** A folder with a Debian of its own that holds these packages, made by apt when it is not there; its path. Needs root, unless it is there. */
export async function debian({ directory, name, suite, packages }: Folder): Promise<string> {
  const folder = resolve(directory ?? join(tmpdir(), `coffer-${name}`));
  const made = await run("bash", [resolve("test/support/debian/folder.sh"), folder, name, suite, ...packages], {}, 15 * 60_000);
  if (made.code !== 0) throw new Error(`${packages.join(", ")} could not be installed in ${folder}:\n${made.stdout.slice(-2000)}\n${made.stderr.slice(-2000)}`);
  return folder;
}

/** A Python program of the folder, told by one JSON argument. */
export const python = (folder: string, program: string, told: object) =>
  spawn("chroot", [folder, "/usr/bin/python3", program, JSON.stringify(told)], { stdio: ["ignore", "pipe", "pipe"] });
