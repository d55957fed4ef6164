import { configOf } from "#core/config";
import { openDatabase, openPublisher, openStates } from "#functions/aws/clients";
import { environmentOf } from "#functions/aws/environment";
import { openBus } from "#functions/aws/events";
import { createExecutions } from "#functions/aws/executions";
import { callerOf } from "#functions/aws/signed";
import { awake } from "#functions/aws/wake";
import { openWorkshop } from "#functions/aws/workshop";
import { createSweep } from "#functions/cron/sweep";

const environment = environmentOf("cron", process.env);
const caller = callerOf(process.env);
const db = openDatabase(environment.DATABASE_URL);

const sweep = createSweep({
  db,
  publisher: openPublisher(environment.COFFER_QUEUE_URL, caller),
  executions: createExecutions({ db, client: openStates(), machines: environment.COFFER_STATE_MACHINES }),
  workshop: openWorkshop(environment, caller),
  config: configOf(process.env),
  sink: openBus(environment.COFFER_EVENT_BUS),
});

/** EventBridge, once a minute -> the sweep. The event says nothing that it needs. */
export const handler = awake(() => sweep());
