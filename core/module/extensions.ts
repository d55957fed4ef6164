import { badRequest } from "#core/error";

/*
 * Contents of a module of type `postgresql_extensions`: lines `extension=<name>`, and `database=<name>` for those
 * databases alone. No SQL: whatever is written there, the server does nothing but create extensions of this list.
 */

/**
 * What PostgreSQL calls trusted, in 16, 17 and 18 alike: made by the owner of a database, without a superuser, and
 * giving nobody a way out of it (PostgreSQL manual, "Packaging Related Objects into an Extension"). No languages.
 */
const allowed = [
  "btree_gin",
  "btree_gist",
  "citext",
  "cube",
  "dict_int",
  "fuzzystrmatch",
  "hstore",
  "intarray",
  "isn",
  "lo",
  "ltree",
  "pg_trgm",
  "pgcrypto",
  "seg",
  "tablefunc",
  "tcn",
  "tsm_system_rows",
  "tsm_system_time",
  "unaccent",
  "uuid-ossp",
] as const;

/** Keeps one application short; more than there are extensions, and far more databases than instances have. */
const MANY = 100;

export interface Extensions {
  extensions: string[];
  /** Undefined = every database of the tenant's. */
  databases: string[] | undefined;
}

/** Throws AppError `badRequest`, naming the line, for anything else. */
export function readExtensions(contents: string): Extensions {
  const extensions = new Set<string>();
  const databases = new Set<string>();
  for (const [index, raw] of contents.split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const refuse = (rule: string) => badRequest(`Line ${index + 1} of the contents ${rule}.`, { reason: "module.contents", final: true });
    const [, key, value = ""] = /^(extension|database)\s*=\s*(.+)$/.exec(line) ?? [];
    if (key === undefined) throw refuse("is neither extension=<name> nor database=<name>");
    if (key === "extension" && !allowed.some((name) => name === value)) throw refuse(`names an extension that is not offered; offered are ${allowed.join(", ")}`);
    if (key === "database" && Buffer.byteLength(value) > 63) throw refuse("names a database with more than 63 bytes");
    (key === "extension" ? extensions : databases).add(value);
    if (Math.max(extensions.size, databases.size) > MANY) throw refuse(`is beyond the limit of ${MANY} names`);
  }
  if (extensions.size === 0) throw badRequest("The contents name no extension: a line extension=<name> is needed.", { reason: "module.contents", final: true });
  return { extensions: [...extensions], databases: databases.size > 0 ? [...databases] : undefined };
}
