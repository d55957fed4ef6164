import { badRequest } from "#core/error";
import { isUuid } from "#core/id";
import type { Call } from "#functions/api/call";

/** `limit` of a list: a positive number, silently lowered to the page size (contract §0.6). */
export function limitOf(call: Call, cap = call.config.COFFER_PAGE_SIZE): number {
  const given = call.query.get("limit");
  if (given === null) return Math.min(cap, call.config.COFFER_PAGE_SIZE);
  if (!/^\d{1,15}$/.test(given) || Number(given) < 1) throw badRequest(`limit must be a positive number, not '${given.slice(0, 40)}'.`, { reason: "page.limit" });
  return Math.min(Number(given), cap);
}

/** A marker that is the last id of the page before. */
export function idMarker(call: Call): string | undefined {
  const given = call.query.get("marker");
  if (given === null) return undefined;
  if (!isUuid(given)) throw badRequest("marker must be the id that a next link names.", { reason: "page.marker" });
  return given.toLowerCase();
}

/** A marker that counts rows. */
export function offsetMarker(call: Call): number {
  const given = call.query.get("marker") ?? "0";
  if (!/^\d{1,15}$/.test(given)) throw badRequest("marker must be a number.", { reason: "page.marker" });
  return Number(given);
}

/** A page of what the guest reported, by name; the marker is the last name of the page before. */
export function pageByName<T extends { name: string }>(call: Call, all: T[]): { page: T[]; next: string | undefined } {
  const limit = limitOf(call);
  const marker = call.query.get("marker");
  const rest = all
    .filter(({ name }) => marker === null || name > marker)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const page = rest.slice(0, limit);
  return { page, next: rest.length > limit ? page.at(-1)?.name : undefined };
}

/** OpenStack's words for true and false, in any case; undefined for anything else. */
export function flag(call: Call, name: string): boolean | undefined {
  const given = call.query.get(name)?.toLowerCase();
  if (given === "true" || given === "1" || given === "yes") return true;
  if (given === "false" || given === "0" || given === "no") return false;
  return undefined;
}
