import { EventBridgeClient, PutEventsCommand } from "@aws-sdk/client-eventbridge";
import type { Envelope, Sink } from "#core/event/drain";
import { log } from "#core/log";

/** At most this many per PutEvents (EventBridge API reference). */
const BATCH = 10;
const SOURCE = "coffer";

/** Milliseconds; a sweep has more to do than to wait. */
const requestHandler = { connectionTimeout: 2_000, requestTimeout: 5_000 };

/** By the name of a bus; undefined = nobody listens. Apart from the other clients, as only the sweep's bundle may hold this one. */
export const openBus = (bus: string | undefined): Sink | undefined => (bus === undefined ? undefined : busSink(new EventBridgeClient({ requestHandler }), bus));

/** Puts events on a bus: source `coffer`, the event's type as detail-type, the event itself as detail. An entry that is refused is tried again. */
export const busSink = (client: EventBridgeClient, bus: string): Sink => ({
  async deliver(events, signal) {
    const batches = Array.from({ length: Math.ceil(events.length / BATCH) }, (_, at) => events.slice(at * BATCH, (at + 1) * BATCH));
    const done = await Promise.allSettled(batches.map((few) => put(client, bus, few, signal)));
    const failed = done.find((one) => one.status === "rejected");
    if (failed && done.every((one) => one.status === "rejected")) throw failed.reason;
    if (failed) log.warn("some events were not put on the bus", { error: String(failed.reason) });
    return done.flatMap((one) => (one.status === "fulfilled" ? one.value : []));
  },
});

async function put(client: EventBridgeClient, bus: string, few: Envelope[], signal: AbortSignal): Promise<string[]> {
  const entries = few.map((one) => ({ EventBusName: bus, Source: SOURCE, DetailType: one.event_type, Detail: JSON.stringify(one), Time: new Date(`${one.timestamp.replace(" ", "T")}Z`) }));
  const { Entries = [] } = await client.send(new PutEventsCommand({ Entries: entries }), { abortSignal: signal });
  return few.flatMap(({ message_id, event_type }, at) => {
    const entry = Entries[at];
    if (entry?.EventId !== undefined && entry.ErrorCode === undefined) return [message_id];
    log.warn("the bus took an event not", { event: message_id, type: event_type, code: entry?.ErrorCode });
    return [];
  });
}
