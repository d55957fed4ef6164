import type { ByteRange, ObjectInfo } from "#core/driver/objectstore";
import { badRequest } from "#core/error";

const META = "x-object-meta-";
/** Of one object, names and values together; Swift's own limit. */
const META_BYTES = 4096;

/** What is told of an object with GET and HEAD. */
export const infoHeaders = (info: ObjectInfo): Record<string, string> => ({
  "content-type": info.contentType,
  etag: info.etag,
  "last-modified": new Date(info.modifiedUs / 1000).toUTCString(),
  "x-timestamp": (info.modifiedUs / 1e6).toFixed(5),
  "accept-ranges": "bytes",
  ...(info.expiresAt && { "x-delete-at": String(Math.floor(info.expiresAt.getTime() / 1000)) }),
  ...Object.fromEntries(Object.entries(info.meta).map(([name, value]) => [META + name, value])),
});

/** The metadata that a request brings. */
export function metaOf(headers: Headers): Record<string, string> {
  const meta = Object.fromEntries([...headers].filter(([name]) => name.startsWith(META) && name !== META).map(([name, value]) => [name.slice(META.length), value]));
  if (Buffer.byteLength(JSON.stringify(meta)) > META_BYTES) throw badRequest(`The metadata of an object may have ${META_BYTES} bytes at most.`);
  return meta;
}

/** When an object is to vanish: `X-Delete-After` in seconds, or `X-Delete-At` in seconds since 1970. */
export function deletion(headers: Headers, now: Date): Date | undefined {
  const [after, at] = ["x-delete-after", "x-delete-at"].map((name) => {
    const given = headers.get(name);
    if (given === null) return undefined;
    if (!/^\d{1,11}$/.test(given)) throw badRequest(`${name} must be a whole number of seconds.`);
    return Number(given);
  });
  const when = after !== undefined ? now.getTime() + after * 1000 : at === undefined ? undefined : at * 1000;
  if (when === undefined) return undefined;
  if (when <= now.getTime()) throw badRequest("X-Delete-At lies in the past.");
  return new Date(when);
}

/** The one range that is asked for; absent = the whole, also where several are asked for (RFC 9110 §14.2 allows it). */
export function rangeOf(header: string | undefined, bytes: number): ByteRange | "outside" | undefined {
  const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? "") ?? [];
  if (first === "" && last === "") return undefined;
  const from = first === "" ? Math.max(0, bytes - Number(last)) : Number(first);
  const to = first === "" || last === "" ? bytes - 1 : Math.min(Number(last), bytes - 1);
  if (first !== "" && last !== "" && Number(last) < from) return undefined;
  return from >= bytes || from > to ? "outside" : { from, to };
}
