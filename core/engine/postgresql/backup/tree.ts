import type { Dirent } from "node:fs";
import { opendir } from "node:fs/promises";
import { join } from "node:path";
import { AppError, codeOf } from "#core/error";

/* What of a data directory belongs into a backup: PostgreSQL's manual, "Making a Base Backup Using the Low Level API". */

/** Directories of which only the name is kept: the server fills them anew. */
const emptied = new Set(["pg_dynshmem", "pg_notify", "pg_replslot", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans", "pg_wal"]);
const leftOut = /^(postmaster\.(pid|opts)|postgresql\.auto\.conf\.tmp|current_logfiles(\.tmp)?|backup_(label(\.old)?|manifest)|tablespace_map(\.old)?|(recovery|standby)\.signal)$/;
const temporary = /^(pgsql_tmp.*|pg_internal\.init.*|t\d+_\d+(_\w+)?(\.\d+)?)$/;
const relation = /^(\d+)(?:_(fsm|vm|init))?(?:\.(\d+))?$/;

export interface Entry {
  path: string;
  /** Of a file of pages: in which segment of the relation, and whether it is the main fork, whose pages all tell when they changed. */
  pages?: { segment: number; isMain: boolean };
}

/** Files and directories, in order; without what a restored server does not need. `directory` is told of each. */
export async function* filesOf(root: string, directory: (path: string) => void, path = ""): AsyncGenerator<Entry> {
  const entries = await entriesOf(join(root, path));
  const isRelations = path === "global" || /^base\/\d+$/.test(path);
  // The main fork of an unlogged relation is made anew from its init fork.
  const unlogged = new Set(isRelations ? entries.flatMap(({ name }) => (name.endsWith("_init") ? [name.slice(0, -"_init".length)] : [])) : []);
  for (const entry of entries) {
    const inner = path === "" ? entry.name : `${path}/${entry.name}`;
    if (entry.isSymbolicLink()) throw new AppError("conflict", `The data directory holds a link (${inner}): data outside of the volume cannot be backed up.`, { reason: "backup.tablespace", final: true });
    if (temporary.test(entry.name)) continue;
    if (entry.isDirectory()) {
      directory(inner);
      if (path !== "" || !emptied.has(entry.name)) yield* filesOf(root, directory, inner);
      continue;
    }
    // global/pg_control comes last, when all else is there.
    if (!entry.isFile() || inner === "global/pg_control" || (path === "" && leftOut.test(entry.name))) continue;
    const [, node, fork, segment] = (isRelations && relation.exec(entry.name)) || [];
    if (node === undefined) yield { path: inner };
    else if (!unlogged.has(node) || fork === "init") yield { path: inner, pages: { segment: Number(segment ?? 0), isMain: fork === undefined } };
  }
}

async function entriesOf(directory: string): Promise<Dirent[]> {
  const entries: Dirent[] = [];
  try {
    for await (const entry of await opendir(directory, { bufferSize: 256 })) entries.push(entry);
  } catch (error) {
    // A database that was dropped meanwhile.
    if (codeOf(error) !== "ENOENT") throw error;
  }
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
}
