import type { Entry } from "#functions/aws/stack/function";

/** Seconds a message stays hidden: six times what its function may take, as AWS advises for batches that are throttled. */
export const VISIBILITY_FACTOR = 6;
const DAY = 86_400;

/** The queue of operations to run, and where a message goes that five tries did not settle. Messages hold ids only. */
export function createQueues(timeoutSeconds: number) {
  const dead = new sst.aws.Queue("DeadLetters", { transform: { queue: { sqsManagedSseEnabled: true, messageRetentionSeconds: 14 * DAY } } });
  const queue = new sst.aws.Queue("Operations", {
    visibilityTimeout: `${VISIBILITY_FACTOR * timeoutSeconds} seconds`,
    dlq: { queue: dead.arn, retry: 5 },
    transform: { queue: { sqsManagedSseEnabled: true, messageRetentionSeconds: 4 * DAY } },
  });
  return {
    dead,
    queue,
    send: [{ actions: ["sqs:SendMessage"], resources: [queue.arn] }],
    receive: [{ actions: ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], resources: [queue.arn] }],
    subscribe: (entry: Entry) =>
      queue.subscribe(entry.arn as unknown as $util.Input<string>, {
        batch: { size: 10, partialResponses: true },
        // Bounds it here, and not by throttling the function, which would count as a try.
        transform: { eventSourceMapping: { scalingConfig: { maximumConcurrency: 5 } } },
      }),
  };
}
export type Queues = ReturnType<typeof createQueues>;
