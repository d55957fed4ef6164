import type { Container, ObjectInfo, ObjectStore } from "#core/driver/objectstore";
import type { Call } from "#core/driver/resource";
import { badRequest, notFound } from "#core/error";

/** Swift's own; clients ask for the next page by the last name. */
const PAGE = 10_000;

/** A container's objects, as JSON or as lines of names: `prefix`, `marker`, `limit`, `format`. */
export async function listing(store: ObjectStore, at: Container, query: URLSearchParams, call: Call, head: boolean): Promise<Response> {
  const limit = limitOf(query.get("limit"));
  const [prefix, marker] = [query.get("prefix"), query.get("marker")];
  const found = await store.list(at, { limit: head ? 0 : limit, ...(prefix && { prefix }), ...(marker && { after: marker }) }, call);
  if (!found) throw notFound("There is no such container.");
  if (head) return new Response(null, { status: 204 });
  if (query.get("format") === "json") return Response.json(found.map(entry), { headers: { "content-type": "application/json; charset=utf-8" } });
  const lines = found.map(({ name }) => `${name}\n`).join("");
  return new Response(lines === "" ? null : lines, { status: lines === "" ? 204 : 200, headers: { "content-type": "text/plain; charset=utf-8" } });
}

function limitOf(given: string | null): number {
  if (given === null || given === "") return PAGE;
  if (!/^\d{1,9}$/.test(given)) throw badRequest("limit must be a whole number.");
  return Math.min(Number(given), PAGE);
}

/** The microseconds order objects that were written in the same second; clients sort by this text. */
const entry = (info: ObjectInfo) => ({
  name: info.name,
  bytes: info.bytes,
  hash: info.etag,
  content_type: info.contentType,
  last_modified: `${new Date(Math.floor(info.modifiedUs / 1000)).toISOString().slice(0, 23)}${String(info.modifiedUs % 1000).padStart(3, "0")}`,
});
