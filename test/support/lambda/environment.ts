import type { FunctionName } from "#functions/aws/environment";
import { kinds } from "#core/operation/index";

/** State machines by kind, as a stack would name them. */
export const machines = Object.fromEntries(kinds.map((kind) => [kind, `arn:aws:states:us-east-1:123456789012:stateMachine:coffer-${kind}`]));

const ca = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----";
const all = {
  DATABASE_URL: "postgres://coffer:secret@127.0.0.1:1/coffer",
  COFFER_QUEUE_URL: "http://127.0.0.1:1/123456789012/coffer-operations",
  COFFER_STATE_MACHINES: JSON.stringify(machines),
  COFFER_KEYSTONE_URL: "http://127.0.0.1:1/identity",
  COFFER_KEYSTONE_PASSWORD: "keystone-secret",
  COFFER_CLOUD: "fake",
  COFFER_INSTALLATION: "0123456789",
  COFFER_GUEST_URL: "https://guests.example/guest/v1",
  COFFER_ROOT_KEY: "07".repeat(32),
  COFFER_SEAL_KEY: "08".repeat(32),
  COFFER_CA_CERTIFICATE: ca,
  COFFER_CA_KEY: ca.replaceAll("CERTIFICATE", "PRIVATE KEY"),
  COFFER_DOORBELL_ENDPOINT: "https://d0orbe11.execute-api.us-east-1.amazonaws.com/live",
  COFFER_APP_PASSWORD: "app-password-app",
  COFFER_SYSTEM_PASSWORD: "system-password-system",
};

const read: Record<FunctionName, (keyof typeof all)[]> = {
  api: ["DATABASE_URL", "COFFER_QUEUE_URL", "COFFER_KEYSTONE_URL", "COFFER_KEYSTONE_PASSWORD", "COFFER_SEAL_KEY"],
  guest: ["DATABASE_URL", "COFFER_SEAL_KEY", "COFFER_CA_CERTIFICATE", "COFFER_CA_KEY"],
  doorbell: ["DATABASE_URL", "COFFER_DOORBELL_ENDPOINT"],
  queue: ["DATABASE_URL", "COFFER_STATE_MACHINES"],
  workflow: ["DATABASE_URL", "COFFER_QUEUE_URL", "COFFER_CLOUD", "COFFER_INSTALLATION", "COFFER_GUEST_URL", "COFFER_ROOT_KEY"],
  cron: ["DATABASE_URL", "COFFER_QUEUE_URL", "COFFER_STATE_MACHINES", "COFFER_CLOUD", "COFFER_INSTALLATION", "COFFER_GUEST_URL", "COFFER_ROOT_KEY"],
  migrate: ["DATABASE_URL", "COFFER_APP_PASSWORD", "COFFER_SYSTEM_PASSWORD", "COFFER_INSTALLATION"],
};

/** The least a function needs, with good values. */
export const environmentFor = (name: FunctionName): Record<string, string> => Object.fromEntries(read[name].map((key) => [key, all[key]]));
