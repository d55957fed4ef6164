import { createHmac } from "node:crypto";
import { describe } from "#core/error";
import type { Envelope, Sink } from "#core/event/drain";
import { log } from "#core/log";

export interface Webhook {
  url: string;
  /** Whoever knows it can tell that a request is ours. */
  secret?: string | undefined;
}

/** Requests under way at once: a receiver is one process, as a rule. */
const AT_ONCE = 8;
/** One that has not answered after this is tried again later, ms. */
const ANSWER_MS = 4_000;

/**
 * POSTs each event as JSON; any 2xx means that it was taken. Redirects are not followed. The headers are those of Standard
 * Webhooks (standardwebhooks.com): `webhook-id` is the event's and the same at every delivery, `webhook-signature` is there with a secret.
 */
export const webhookSink = (hook: Webhook): Sink => ({
  async deliver(events, signal) {
    const waiting = [...events];
    const taken: string[] = [];
    const worker = async () => {
      for (let one = waiting.shift(); one && !signal.aborted; one = waiting.shift()) if (await post(hook, one, signal)) taken.push(one.message_id);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    return taken;
  },
});

async function post({ url, secret }: Webhook, event: Envelope, signal: AbortSignal): Promise<boolean> {
  const id = event.message_id;
  const body = JSON.stringify(event);
  const timestamp = String(Math.floor(Date.now() / 1000));
  try {
    const reply = await fetch(url, {
      method: "POST",
      redirect: "manual",
      headers: { "content-type": "application/json", "webhook-id": id, "webhook-timestamp": timestamp, ...(secret !== undefined && { "webhook-signature": signatureOf(secret, `${id}.${timestamp}.${body}`) }) },
      body,
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
    });
    await reply.body?.cancel();
    if (!reply.ok) log.warn("the webhook took an event not", { event: id, type: event.event_type, status: reply.status });
    return reply.ok;
  } catch (error) {
    log.warn("the webhook was not reached", { event: id, type: event.event_type, error: describe(error) });
    return false;
  }
}

const signatureOf = (secret: string, text: string) => `v1,${createHmac("sha256", secret).update(text).digest("base64")}`;
