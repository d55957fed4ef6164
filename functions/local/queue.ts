import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";
import { buildApp } from "fauxqs";

export interface LocalQueue {
  client: SQSClient;
  endpoint: string;
  queueUrl: string;
  /** Where messages end that were refused too often. */
  deadUrl: string;
  stop: () => Promise<void>;
}

/** Seconds; with a queue in memory only a crash of this process leaves a message invisible. */
const VISIBILITY = 30;
const MAX_RECEIVES = 5;
/** Loopback only; the emulator's own start function would listen on every address of the machine. */
const HOST = "127.0.0.1";

/** What is used of the emulator's Fastify, whose types its own do not find. */
interface Emulator {
  listen(at: { port: number; host: string }): Promise<string>;
  close(): Promise<void>;
}

/** An SQS endpoint in this process, reached through the same SDK client as the real one. */
export async function startQueue(): Promise<LocalQueue> {
  const server = buildApp({ logger: false }) as unknown as Emulator;
  const endpoint = await server.listen({ port: 0, host: HOST });
  const client = new SQSClient({
    region: "us-east-1",
    endpoint,
    // The queue is ours and in memory: its credentials open nothing.
    credentials: { accessKeyId: "local", secretAccessKey: "local" },
  });
  const deadUrl = await createQueue(client, "coffer-dead", {});
  const { Attributes } = await client.send(new GetQueueAttributesCommand({ QueueUrl: deadUrl, AttributeNames: ["QueueArn"] }));
  const queueUrl = await createQueue(client, "coffer-operations", {
    VisibilityTimeout: String(VISIBILITY),
    RedrivePolicy: JSON.stringify({ deadLetterTargetArn: Attributes?.QueueArn, maxReceiveCount: MAX_RECEIVES }),
  });
  return {
    client,
    endpoint,
    queueUrl,
    deadUrl,
    async stop() {
      client.destroy();
      await server.close();
    },
  };
}

async function createQueue(client: SQSClient, name: string, attributes: Record<string, string>): Promise<string> {
  const { QueueUrl } = await client.send(new CreateQueueCommand({ QueueName: name, Attributes: attributes }));
  if (!QueueUrl) throw new Error(`the queue ${name} was not made`);
  return QueueUrl;
}
