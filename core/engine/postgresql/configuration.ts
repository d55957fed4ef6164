import { execFile } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Machine, Settings } from "#core/engine/engine";
import { AppError, badRequest } from "#core/error";
import { checkBounds } from "#core/engine/postgresql/bounds";
import { asRoot, environment } from "#core/engine/postgresql/cluster";
import { place } from "#core/engine/postgresql/files";
import { shown } from "#core/engine/postgresql/names";
import { overridesText, settingsText } from "#core/engine/postgresql/settings";
import type { Layout } from "#core/engine/postgresql/volume";
import { beyondList, refusedBecause } from "#core/parameter/postgresql/refused";

/** It reads two files and ends; a disk that hangs is no reason to wait for ever. */
const askMs = 20_000;

/** The engine's user may read these files, and nobody but us may write them. */
export const readable = ({ engineUser }: Machine) => (asRoot() && engineUser ? { mode: 0o640, gid: engineUser.gid } : {});

/**
 * Throws AppError `badRequest` unless the server's programs take these settings. They are asked
 * with files of their own, beside a server that may be running: nothing in force is touched.
 */
export async function checkConfiguration(machine: Machine, files: Layout, settings: Settings): Promise<void> {
  const overrides = settings.overrides ?? {};
  for (const [name, value] of Object.entries(overrides)) checkOne(name, value);
  checkBounds(settings);
  if (Object.keys(overrides).length === 0) return;
  try {
    await place(files.candidateOverrides, overridesText(overrides), readable(machine));
    await place(files.candidate, settingsText(machine, files, settings, files.candidateOverrides), readable(machine));
    await ask(machine, files);
  } finally {
    await Promise.all([files.candidate, files.candidateOverrides].map((path) => rm(path, { force: true })));
  }
}

/** The control plane has checked it already; what would reach the host is not left to one wall. */
function checkOne(name: string, value: string | number | boolean): void {
  const refuse = (why: string) => badRequest(`The parameter ${shown(name)} cannot be set: ${why}.`, { reason: "configuration.refused", final: true });
  if (!/^[a-z_][a-z0-9_$]*(\.[a-z_][a-z0-9_$]*)?$/i.test(name)) throw refuse("it is no name of a parameter");
  const because = refusedBecause(name) ?? beyondList(name, String(value));
  if (because !== undefined) throw refuse(because);
  if (/\p{Cc}/u.test(String(value))) throw refuse("its value holds a control character");
}

function ask({ engineDirectory, engineUser }: Machine, files: Layout): Promise<void> {
  return new Promise((resolve, reject) => {
    // `-C` must come first: so that even root may ask.
    const args = ["-C", "max_connections", "-D", files.pgdata, "-c", `config_file=${files.candidate}`];
    const options = { ...(asRoot() && engineUser), cwd: "/", env: environment, timeout: askMs };
    execFile(join(engineDirectory, "bin", "postgres"), args, options, (error, _, stderr) => {
      if (!error) return resolve();
      const complaints = stderr.split("\n").map(complaint).filter((text) => text !== undefined);
      if (complaints.length > 0) return reject(badRequest(`PostgreSQL does not take these settings: ${complaints.join("; ")}.`, { reason: "configuration.invalid", next: "Correct the configuration group.", final: true }));
      reject(new AppError("serviceUnavailable", "PostgreSQL could not be asked whether it takes these settings.", { reason: "engine.check", cause: error }));
    });
  });
}

/** One line of what the server says against its settings, without our paths; undefined for what only follows from the others. */
function complaint(line: string): string | undefined {
  const [, text] = /\b(?:LOG|ERROR|FATAL|DETAIL|HINT): +(.*)$/.exec(line) ?? [];
  if (text === undefined || text.startsWith("skipping missing") || /^configuration file ".*" contains errors/.test(text)) return undefined;
  return text.replace(/ in file ".*?" line \d+/, "").replace(/\.$/, "");
}
