import type { Reply } from "#test/oracle/http";

export interface Difference {
  /** `status`, `header.<name>`, or where in the body, such as `body.instance.flavor.id`. */
  at: string;
  ours: string;
  theirs: string;
}

/** Values of one server by the name that steps use. */
export type Known = ReadonlyMap<string, string>;

export interface Manner {
  unordered?: boolean;
  shape?: boolean;
}

const headers = ["content-type", "x-openstack-request-id", "www-authenticate"];

/** What the two replies have not in common, when what must differ has been taken out of them. */
export function differences(ours: Reply, theirs: Reply, known: { ours: Known; theirs: Known }, manner: Manner = {}): Difference[] {
  const found: Difference[] = [];
  const note = (at: string, one: unknown, other: unknown) => {
    if (one !== other) found.push({ at, ours: String(one), theirs: String(other) });
  };
  note("status", ours.status, theirs.status);
  for (const name of headers) note(`header.${name}`, presence(name, ours), presence(name, theirs));
  walk("body", plain(ours, known.ours, manner), plain(theirs, known.theirs, manner), note);
  return found;
}

/** Types of content are compared, of other headers whether they are there. */
const presence = (name: string, { headers: sent }: Reply) => (name === "content-type" ? sent[name]?.split(";")[0] : sent[name] !== undefined);

const absent = "nothing";

function walk(at: string, one: unknown, other: unknown, note: (at: string, one: unknown, other: unknown) => void) {
  if (isObject(one) && isObject(other)) {
    for (const key of new Set([...Object.keys(one), ...Object.keys(other)])) {
      walk(`${at}.${key}`, key in one ? one[key] : absent, key in other ? other[key] : absent, note);
    }
  } else if (Array.isArray(one) && Array.isArray(other)) {
    note(`${at}.length`, one.length, other.length);
    for (let i = 0; i < Math.min(one.length, other.length); i++) walk(`${at}[${i}]`, one[i], other[i], note);
  } else {
    note(at, told(one), told(other));
  }
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);
const told = (value: unknown) => (value === absent ? absent : JSON.stringify(value));

/** A reply's body without what no two servers have in common: addresses, times, ids and secrets of their own, words of errors. */
function plain({ json, text }: Reply, known: Known, manner: Manner): unknown {
  if (json === undefined) return text === "" ? "" : "<text>";
  return simplify(json, "", known, manner);
}

function simplify(value: unknown, key: string, known: Known, manner: Manner): unknown {
  if (Array.isArray(value)) {
    const list = value.map((one) => simplify(one, key, known, manner));
    return manner.unordered ? list.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) : list;
  }
  if (isObject(value)) {
    // The order of keys says nothing.
    return Object.fromEntries(Object.entries(value).sort().map(([name, one]) => [name, simplify(one, name, known, manner)]));
  }
  if (manner.shape && value !== null) return `<${typeof value}>`;
  return typeof value === "string" ? scrub(value, key, known) : value;
}

/** Words for people, and secrets: that there are some is compared. */
const free = new Set(["message", "title", "details", "password", "task_description", "state_description"]);

function scrub(text: string, key: string, known: Known): string {
  if (free.has(key) && text !== "") return `<${key}>`;
  let scrubbed = text;
  for (const [name, value] of known) scrubbed = scrubbed.replaceAll(value, `{${name}}`);
  return (
    scrubbed
      // Contract §11: Trove writes https whatever the client used.
      .replaceAll(/https?:\/\/127\.0\.0\.1:\d+/g, "<origin>")
      // So the fakes of Nova and Cinder begin their ids.
      .replace(/^FAKE_(VOL_)?/, "")
      .replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/, "<time>")
      .replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, "<time Z>")
      .replace(/^\d+\.\d+\.\d+\.\d+$/, "<ip>")
      .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, (id) => (same.test(id) ? id : "<uuid>"))
  );
}

/** Ids that both servers were given (nameId has version 5), and the network and image of the fakes. */
const same = /^.{14}5|^[1a]{1}0000000-|^aaaaaaaa-|^11111111-/;
