import { SFNClient } from "@aws-sdk/client-sfn";
import { Database } from "#core/db/index";
import type { Publisher } from "#core/db/outbox";
import type { Doorbell } from "#core/guest/client";
import { createDoorbell } from "#functions/aws/doorbell";
import { sendSigned } from "#functions/aws/queue";
import type { Caller } from "#functions/aws/signed";
import { createPublisher } from "#functions/queue/publisher";

/*
 * Made in module scope, once per environment of a function; nothing here connects before it is
 * first used. Region, endpoint and credentials come from Lambda's own variables.
 */

/**
 * One connection: a function serves one event at a time. No prepared statements, nothing that
 * lives longer than a transaction: a pooler gives the next transaction another connection.
 */
export const openDatabase = (url: string) => new Database(url, { max: 1, prepare: false });

export const openPublisher = (queueUrl: string, caller: Caller): Publisher => createPublisher(sendSigned(caller, queueUrl));

/** Milliseconds; the SDK repeats a call that ran into them, and waits for ever without them. */
export const openStates = () => new SFNClient({ requestHandler: { connectionTimeout: 2_000, requestTimeout: 5_000 } });

/** Where guests have no doorbell they ask by themselves; whoever waits for a job looks again. */
const silent: Doorbell = { ring: async () => {} };

/** By the management endpoint of the WebSocket API, `https://<host>/<stage>`; undefined = there is none. */
export const openDoorbell = (endpoint: string | undefined, caller: Caller): Doorbell => (endpoint === undefined ? silent : createDoorbell(endpoint, caller));
