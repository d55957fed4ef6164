import type { SQSBatchResponse, SQSEvent } from "aws-lambda";
import * as z from "zod";
import { describe } from "#core/error";
import { log } from "#core/log";
import type { Executions } from "#core/workflow/run";

const Message = z.object({ topic: z.literal("operation.run"), operationId: z.uuid(), run: z.number().int().min(1) });

/**
 * SQS -> one execution per run. Standard queues repeat and reorder; the execution's name is the
 * run's, so a repeat starts nothing, and no order between messages matters: FIFO would buy
 * nothing. Only failed records are reported back, so one bad message does not repeat the others.
 */
export const createQueueHandler =
  (executions: Executions) =>
  async (event: SQSEvent): Promise<SQSBatchResponse> => {
    const failures = await Promise.all(
      event.Records.map(async ({ messageId, body }) => {
        try {
          const { operationId, run } = Message.parse(JSON.parse(body));
          await executions.start({ operationId, run });
          return [];
        } catch (error) {
          log.error("message refused", { record: messageId, error: describe(error) });
          return [{ itemIdentifier: messageId }];
        }
      }),
    );
    return { batchItemFailures: failures.flat() };
  };
