import { open, rename } from "node:fs/promises";
import type { Sink } from "#core/event/drain";

/** A file that is longer than this becomes `<path>.1`, in place of the one before. */
const FILE_BYTES = 16 * 1024 * 1024;

/** Appends events to a file, a line of JSON each; they are taken once they are on the disk. Nobody but its owner may read it. */
export const fileSink = (path: string, longest = FILE_BYTES): Sink => ({
  async deliver(events) {
    const file = await open(path, "a+", 0o600);
    try {
      const { size } = await file.stat();
      const last = Buffer.alloc(1);
      if (size > 0) await file.read(last, 0, 1, size - 1);
      // A crash in the middle of a line: what follows must not become part of it.
      const torn = size > 0 && last.toString() !== "\n" ? "\n" : "";
      await file.appendFile(torn + events.map((one) => `${JSON.stringify(one)}\n`).join(""));
      await file.datasync();
      if (size > longest) await rename(path, `${path}.1`);
    } finally {
      await file.close();
    }
    return events.map(({ message_id }) => message_id);
  },
});
