import { AwsClient } from "aws4fetch";
import { setTimeout as pause } from "node:timers/promises";
import * as z from "zod";
import { parsed } from "#functions/aws/environment";

/*
 * The two calls of AWS that a request may wait for, SendMessageBatch and PostToConnection, need none of the SDK but
 * its signature: without it the bundle of the API is less than half as large. Whatever is called with
 * more of it (Step Functions, polling) uses the SDK.
 */

const Given = z.object({
  AWS_REGION: z.string().min(1),
  AWS_ACCESS_KEY_ID: z.string().min(1),
  AWS_SECRET_ACCESS_KEY: z.string().min(1),
  AWS_SESSION_TOKEN: z.string().min(1).optional(),
  AWS_ENDPOINT_URL_SQS: z.url().optional(),
});
/** Of a function's environment: set by Lambda itself, and as long valid as the environment lives. */
export type Caller = z.output<typeof Given>;

/** Parses at a cold start; an Error names what is missing. */
export const callerOf = (environment: Record<string, string | undefined>): Caller => parsed("The caller of AWS", Given, environment);

export interface Signed {
  url: string;
  headers?: Record<string, string>;
  body: string;
  signal?: AbortSignal;
}
export interface Patience {
  /** Of the whole of one try, in milliseconds. */
  timeoutMs: number;
  /** How often it is tried: again when nothing came back, or 429 or 5xx. */
  tries: number;
}

/** Milliseconds before the second try at most; the next waits up to twice as long. */
const PAUSE_MS = 100;

/** Sends POST requests with the signature of `<service>` (Signature Version 4); resolves with the reply, whatever its status. */
export function createSigned(service: "sqs" | "execute-api", caller: Caller, { timeoutMs, tries }: Patience): (request: Signed) => Promise<Response> {
  const client = new AwsClient({
    service,
    region: caller.AWS_REGION,
    accessKeyId: caller.AWS_ACCESS_KEY_ID,
    secretAccessKey: caller.AWS_SECRET_ACCESS_KEY,
    ...(caller.AWS_SESSION_TOKEN !== undefined && { sessionToken: caller.AWS_SESSION_TOKEN }),
    retries: 0,
  });

  return async ({ url, headers = {}, body, signal }) => {
    for (let left = tries - 1; ; left--) {
      // A request of its own for every try: a signature is as old as its date.
      const request = await client.sign(url, { method: "POST", headers, body });
      const bounds = [AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])];
      try {
        const reply = await fetch(request, { signal: AbortSignal.any(bounds) });
        if (left <= 0 || (reply.status < 500 && reply.status !== 429)) return reply;
        await reply.body?.cancel();
      } catch (error) {
        if (left <= 0 || signal?.aborted) throw error;
      }
      await pause(Math.random() * PAUSE_MS * 2 ** (tries - 1 - left), undefined, { ...(signal && { signal }) });
    }
  };
}
