import { SFNClient } from "@aws-sdk/client-sfn";
import { SQSClient } from "@aws-sdk/client-sqs";
import { Database } from "#core/db/index";
import type { Publisher } from "#core/db/outbox";
import type { Doorbell } from "#core/guest/client";
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

/** Milliseconds; the SDK repeats a call that ran into them, and waits for ever without them. */
const requestHandler = { connectionTimeout: 2_000, requestTimeout: 5_000 };

/** The region's endpoint, or AWS_ENDPOINT_URL_SQS; not the host in a queue's URL, which the SDK would prefer. */
const openQueues = () => new SQSClient({ requestHandler, useQueueUrlAsEndpoint: false });

export const openPublisher = (queueUrl: string): Publisher => createPublisher(openQueues(), queueUrl);

export const openStates = () => new SFNClient({ requestHandler });

/** Guests ask by themselves: a function can wake nobody. Whoever waits for a job looks again. */
export const silent: Doorbell = { ring: () => {} };
