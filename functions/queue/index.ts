import { openDatabase, openStates } from "#functions/aws/clients";
import { environmentOf } from "#functions/aws/environment";
import { createExecutions } from "#functions/aws/executions";
import { awake } from "#functions/aws/wake";
import { createQueueHandler } from "#functions/queue/operations";

const environment = environmentOf("queue", process.env);

/** SQS -> executions of Step Functions. */
export const handler = awake(
  createQueueHandler(
    createExecutions({ db: openDatabase(environment.DATABASE_URL), client: openStates(), machines: environment.COFFER_STATE_MACHINES }),
  ),
);
