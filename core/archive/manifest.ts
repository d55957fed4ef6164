import * as z from "zod";
import { damaged } from "#core/archive/object";

/*
 * The manifest of a backup: a line of JSON about the whole, then one for each file, in the order in which their contents
 * follow one another in the parts. What it does not list is not there after a restore.
 */

const text = z.string().max(4096);
const count = z.number().int().nonnegative();

/** Relative, without a way out: a restore writes where this says. */
const Path = z.string().max(1024).regex(/^[^/\0]+(\/[^/\0]+)*$/).refine((path) => !path.split("/").some((part) => part === "." || part === ".."));

const File = z.object({
  path: Path,
  /** Of the file after the restore. */
  size: count,
  mode: count.max(0o7777),
  /** Seconds since 1970. */
  mtime: count,
  /** For a file that the parent has: which of its pages follow, as first page and number of pages; none = it is as the parent has it. Absent = the whole file follows. */
  pages: z.array(z.tuple([count, count])).exactOptional(),
});
export type File = z.infer<typeof File>;

const Part = z.object({ name: z.string().regex(/^part-\d{8}$/), stored: count, content: count, sha256: z.string().regex(/^[0-9a-f]{64}$/) });
export type Part = z.infer<typeof Part>;

export const Head = z.object({
  form: z.literal(1),
  backupId: z.uuid(),
  label: text,
  engine: z.object({ name: z.string(), /** As `server_version_num`: 170010. */ version: count }),
  systemIdentifier: z.string(),
  timeline: count,
  startLsn: z.string(),
  stopLsn: z.string(),
  startedAt: z.iso.datetime(),
  stoppedAt: z.iso.datetime(),
  pageBytes: count.min(512),
  parent: z.object({ backupId: z.uuid(), checksum: z.string() }).nullable(),
  directories: z.array(Path),
  parts: z.array(Part),
  files: count,
  /** What a restore needs on a volume. */
  dataBytes: count,
});
export type Head = z.infer<typeof Head>;

export const manifestText = (head: Head, files: Buffer[]): Buffer[] => [Buffer.from(`${JSON.stringify(head)}\n`), ...files];
export const fileLine = (file: File): Buffer => Buffer.from(`${JSON.stringify(file)}\n`);

/** AppError `archive.damaged` for what is no manifest of this form. */
export function parseManifest(content: Buffer): { head: Head; files: () => Generator<File> } {
  const end = content.indexOf(10);
  const head = parsed(Head, content.subarray(0, end));
  return {
    head,
    *files() {
      let found = 0;
      for (let from = end + 1, to; from < content.length; from = to + 1, found++) {
        to = content.indexOf(10, from);
        if (to < 0) throw damaged("its manifest is cut");
        yield parsed(File, content.subarray(from, to));
      }
      if (found !== head.files) throw damaged("its manifest does not list all files");
    },
  };
}

function parsed<S extends z.ZodType>(schema: S, line: Buffer): z.output<S> {
  let value: unknown;
  try {
    value = JSON.parse(line.toString("utf8"));
  } catch (cause) {
    throw damaged("its manifest is not of a form that is known here", cause);
  }
  const found = schema.safeParse(value);
  if (!found.success) throw damaged(`its manifest is not of a form that is known here (${found.error.issues[0]?.path.join(".") ?? ""})`, found.error);
  return found.data;
}
