import { createHash } from "node:crypto";
import { sealKey } from "#core/seal";
import { STEP_SECONDS } from "#core/workflow/context";
import { createAlarms } from "#functions/aws/stack/alarms";
import { createBackups } from "#functions/aws/stack/backups";
import { createBus } from "#functions/aws/stack/bus";
import { createDatabase } from "#functions/aws/stack/database";
import { createFunction, type Common } from "#functions/aws/stack/function";
import { createGateway } from "#functions/aws/stack/gateway";
import { createKey } from "#functions/aws/stack/key";
import { createMachines } from "#functions/aws/stack/machines";
import { createQueues } from "#functions/aws/stack/queues";
import { secrets as declareSecrets } from "#functions/aws/stack/secrets";
import { configOptionsOf, optionsOf, settingsOf } from "#functions/aws/stack/settings";

/** A queue's function starts up to ten executions, one after the other. */
const QUEUE_SECONDS = 30;

/** The whole installation: what a deployment is told -> resources. Returns what SST prints. */
export function stack(given: Record<string, string | undefined>) {
  const settings = settingsOf(given);
  const production = $app.stage === "production";
  const secrets = declareSecrets();
  const key = createKey(production);
  const database = createDatabase({ key, secrets, production });
  const backups = createBackups(key, production);
  const queues = createQueues(QUEUE_SECONDS);
  const seal = secrets.rootKey.value.apply((rootKey) => sealKey(Buffer.from(rootKey, "hex")).toString("hex"));
  const common: Common = { production, key, database };

  const migrate = createFunction("migrate", common, {
    memory: "512 MB",
    timeoutSeconds: 900,
    reserved: 1,
    environment: {
      DATABASE_URL: database.urls.owner,
      COFFER_APP_PASSWORD: secrets.appPassword.value,
      COFFER_SYSTEM_PASSWORD: secrets.systemPassword.value,
      COFFER_INSTALLATION: secrets.installation.value,
      NODE_EXTRA_CA_CERTS: "/var/runtime/ca-cert.pem",
    },
    copyFiles: [{ from: "core/db/migrations", to: "migrations" }],
  });
  // Again with every new code of the migrator, which holds the migrations, and with new passwords.
  const migrated = new aws.lambda.Invocation("Migrated", {
    functionName: migrate.node.name,
    input: "{}",
    triggers: { code: migrate.node.s3Key.apply((key) => key ?? ""), environment: digest(secrets.appPassword.value, secrets.systemPassword.value) },
  });

  const api = createFunction("api", common, {
    memory: "1024 MB",
    timeoutSeconds: 28,
    reserved: 100,
    environment: {
      ...optionsOf(given),
      DATABASE_URL: database.urls.app,
      COFFER_QUEUE_URL: queues.queue.url,
      COFFER_KEYSTONE_URL: settings.COFFER_KEYSTONE_URL,
      COFFER_KEYSTONE_PASSWORD: secrets.keystonePassword.value,
      COFFER_SEAL_KEY: seal,
    },
    permissions: queues.send,
    after: migrated,
  });
  const guest = createFunction("guest", common, {
    memory: "512 MB",
    timeoutSeconds: 10,
    reserved: 100,
    environment: {
      DATABASE_URL: database.urls.system,
      COFFER_CA_CERTIFICATE: secrets.caCertificate.value,
      COFFER_CA_KEY: secrets.caKey.value,
      COFFER_SEAL_KEY: seal,
    },
    after: migrated,
  });
  const gateways = { Api: createGateway("Api", api, common, 100), Guest: createGateway("Guest", guest, common, 1000) };

  const workshop = {
    DATABASE_URL: database.urls.system,
    COFFER_QUEUE_URL: queues.queue.url,
    COFFER_CLOUD: settings.COFFER_CLOUD,
    COFFER_INSTALLATION: secrets.installation.value,
    COFFER_GUEST_URL: $interpolate`${gateways.Guest.url}/guest/v1`,
    COFFER_ROOT_KEY: secrets.rootKey.value,
  };
  const workflow = createFunction("workflow", common, {
    memory: "512 MB",
    timeoutSeconds: STEP_SECONDS,
    reserved: 100,
    environment: workshop,
    permissions: queues.send,
    after: migrated,
  });
  const { machines, json, permissions: start } = createMachines(workflow);

  const queue = createFunction("queue", common, {
    memory: "256 MB",
    timeoutSeconds: QUEUE_SECONDS,
    reserved: 10,
    environment: { DATABASE_URL: database.urls.system, COFFER_STATE_MACHINES: json },
    permissions: [...queues.receive, ...start],
    after: migrated,
  });
  queues.subscribe(queue);

  const bus = createBus();
  const cron = createFunction("cron", common, {
    memory: "512 MB",
    timeoutSeconds: 55,
    // One sweep at a time is enough, though two do no harm.
    reserved: 1,
    environment: { ...configOptionsOf(given), ...workshop, COFFER_STATE_MACHINES: json, COFFER_EVENT_BUS: bus.name },
    permissions: [...queues.send, ...start, ...bus.put],
    after: migrated,
  });
  new sst.aws.CronV2("Sweep", { function: cron.arn as unknown as $util.Input<string>, schedule: "rate(1 minute)" });

  createAlarms({ key, email: settings.COFFER_ALARM_EMAIL, queues, machines, gateways, cron });
  return { api: gateways.Api.url, guest: gateways.Guest.url, backups: backups.name, events: bus.name };
}

/** Changes with the values, and gives none away. */
const digest = (...values: $util.Input<string>[]) => $util.all(values).apply((values) => createHash("sha256").update(JSON.stringify(values)).digest("hex"));
