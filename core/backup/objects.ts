import { containerOf } from "#core/backup/place";
import { deadline } from "#core/clock";
import { ambient } from "#core/context";
import type { ObjectInfo, ObjectStore } from "#core/driver/objectstore";
import type { Place } from "#core/guest/protocol";

/** Objects that one sweep looks at below a prefix: more take several. */
const OBJECTS = 2000;
const PAGE = 500;
const CALL_MS = 15_000;

/** One call of an object store. */
export const objectCall = () => ({ signal: deadline(ambient().clock, CALL_MS) });

/** Removes those below a prefix that `dead` condemns, all if it is absent. Answers whether it saw the end of them. */
export async function removeObjects(objects: ObjectStore, place: Place, dead: (object: ObjectInfo) => boolean = () => true): Promise<boolean> {
  const container = containerOf(place);
  let after: string | undefined;
  for (let seen = 0; seen < OBJECTS; ) {
    const found = (await objects.list(container, { prefix: `${place.prefix}/`, limit: PAGE, ...(after !== undefined && { after }) }, objectCall())) ?? [];
    for (const object of found.filter(dead)) await objects.remove(container, object.name, objectCall());
    if (found.length < PAGE) return true;
    after = found.at(-1)?.name;
    seen += found.length;
  }
  return false;
}
