import { join } from "node:path";
import { migrate } from "#core/db/migrate";
import { environmentOf } from "#functions/aws/environment";

const environment = environmentOf("migrate", process.env);

/** Invoked by a deployment before new code serves: brings the schema, roles and policies up to date. */
export const handler = async (): Promise<{ installation: string }> => ({
  installation: await migrate({
    url: environment.DATABASE_URL,
    folder: join(environment.LAMBDA_TASK_ROOT, "migrations"),
    installation: environment.COFFER_INSTALLATION,
    passwords: { app: environment.COFFER_APP_PASSWORD, system: environment.COFFER_SYSTEM_PASSWORD },
  }),
});
