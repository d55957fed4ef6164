import { openDatabase, openPublisher } from "#functions/aws/clients";
import { environmentOf } from "#functions/aws/environment";
import { callerOf } from "#functions/aws/signed";
import { awake } from "#functions/aws/wake";
import { openWorkshop } from "#functions/aws/workshop";
import { createStep } from "#functions/workflow/step";
import { createTask } from "#functions/workflow/task";

const environment = environmentOf("workflow", process.env);
const caller = callerOf(process.env);

const step = createStep({
  db: openDatabase(environment.DATABASE_URL),
  workshop: openWorkshop(environment, caller),
  publisher: openPublisher(environment.COFFER_QUEUE_URL, caller),
  // One environment of a function runs one label at a time; its log stream tells it from the others.
  worker: `lambda:${process.env.AWS_LAMBDA_LOG_STREAM_NAME ?? process.pid}`,
});

/** A Task of Step Functions -> one label of one run. */
export const handler = awake(createTask(step));
