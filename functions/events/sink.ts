import { isAbsolute } from "node:path";
import * as z from "zod";
import type { Sink } from "#core/event/drain";
import { fileSink } from "#functions/events/file";
import { webhookSink } from "#functions/events/webhook";

/** Where events go, on machines of one's own. */
export const eventSettings = {
  /** `off`, a webhook's `http(s)` URL, or the absolute path of a file of JSON lines. Absent: the composition root's choice. */
  COFFER_EVENTS: z
    .string()
    .refine((text) => text === "off" || isAbsolute(text) || /^https?:$/.test(protocolOf(text)), "must be 'off', an http or https URL, or an absolute path")
    .optional(),
  /** What a webhook's requests are signed with. */
  COFFER_EVENTS_SECRET: z.string().min(16).optional(),
};

export interface EventSettings {
  COFFER_EVENTS?: string | undefined;
  COFFER_EVENTS_SECRET?: string | undefined;
}

/** Undefined = nobody listens. */
export function sinkOf({ COFFER_EVENTS: to, COFFER_EVENTS_SECRET: secret }: EventSettings): Sink | undefined {
  if (to === undefined || to === "off") return undefined;
  return isAbsolute(to) ? fileSink(to) : webhookSink({ url: to, secret });
}

const protocolOf = (text: string) => (URL.canParse(text) ? new URL(text).protocol : "");
