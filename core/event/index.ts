/** What happens to instances and configuration groups, told to whoever listens: contract §8.5, §8.6. */
import { ambient, now } from "#core/context";
import { inside } from "#core/db/index";
import { given, statement } from "#core/db/statement";
import { event, type Notice, type Traits } from "#core/event/event.sql";

/** Characters of a trait at most: with it an event stays far below what a bus takes (EventBridge: 256 KB for ten). */
const LONGEST = 1000;

/** What is told of, and whose it is. */
export interface About {
  projectId: string;
  kind: "instance" | "configuration" | "backup";
  id: string;
}

/** What will be told of work that begins now, asked for by whoever is acting. `more`: what its events name beside the object. */
export function noticeOf(name: string, { projectId, kind, id }: About, more: Traits = {}): Notice {
  const { origin, requestId } = ambient();
  return {
    name,
    projectId,
    stream: id,
    subject: { [`${kind}_id`]: id, ...more },
    origin: { client_ip: origin?.clientIp ?? null, server_ip: origin?.serverIp ?? null, request_id: requestId ?? null },
  };
}

/** The work has been accepted; in the open transaction, after the lock that orders what happens to the object. */
export const tellStart = (notice: Notice, traits: Traits = {}): Promise<void> => tell(notice, "start", "api", traits);

/** It has ended well. `by`: who ended it, where that was not the request itself. */
export const tellEnd = (notice: Notice, by: Publisher = "taskmanager"): Promise<void> => tell(notice, "end", by, {});

/** It has failed. `exception` is a stable code, `message` for people. */
export const tellError = (notice: Notice, error: { message: string; exception: string }): Promise<void> => tell(notice, "error", "taskmanager", error);

/** What is done within the request that asks for it begins and ends at once. */
export async function tellDone(name: string, about: About, traits: Traits = {}): Promise<void> {
  const notice = noticeOf(name, about);
  await tellStart(notice, traits);
  await tellEnd(notice, "api");
}

type Publisher = "api" | "taskmanager";

function tell({ name, projectId, stream, subject, origin }: Notice, qualifier: "start" | "end" | "error", publisher: Publisher, traits: Traits): Promise<void> {
  const payload = { ...subject, ...traits, tenant_id: projectId, ...origin, server_type: publisher };
  return record({ projectId, stream, type: `dbaas.${name}.${qualifier}`, publisher, payload });
}

export interface Happened {
  projectId: string;
  stream: string;
  type: string;
  publisher: Publisher;
  payload: Traits;
}

const cut = (payload: Traits): Traits =>
  Object.fromEntries(Object.entries(payload).map(([name, value]) => [name, typeof value === "string" && value.length > LONGEST ? `${value.slice(0, LONGEST - 1)}…` : value]));

const columns = ["projectId", "stream", "type", "publisher", "payload", "createdAt", "dueAt"] as const;
const insertEvent = statement((tx) => tx.insert(event).values(given(columns)));

/** Commits an event with the open transaction. */
export async function record(happened: Happened): Promise<void> {
  const at = now();
  await insertEvent(inside(), { ...happened, payload: cut(happened.payload), createdAt: at, dueAt: at });
}
