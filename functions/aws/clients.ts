import { ApiGatewayManagementApiClient } from "@aws-sdk/client-apigatewaymanagementapi";
import { SFNClient } from "@aws-sdk/client-sfn";
import { SQSClient } from "@aws-sdk/client-sqs";
import { Database } from "#core/db/index";
import type { Publisher } from "#core/db/outbox";
import type { Doorbell } from "#core/guest/client";
import { createDoorbell } from "#functions/aws/doorbell";
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

/** Where guests have no doorbell they ask by themselves; whoever waits for a job looks again. */
const silent: Doorbell = { ring: async () => {} };

/** A ring is a kindness: one try, and no request waits longer for it than this. Milliseconds. */
const ringHandler = { connectionTimeout: 500, requestTimeout: 1_000 };

/** By the management endpoint of the WebSocket API, `https://<host>/<stage>`; undefined = there is none. */
export const openDoorbell = (endpoint: string | undefined): Doorbell =>
  endpoint === undefined ? silent : createDoorbell(new ApiGatewayManagementApiClient({ endpoint, requestHandler: ringHandler, maxAttempts: 1 }));
