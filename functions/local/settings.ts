import { homedir } from "node:os";
import { resolve } from "node:path";
import * as z from "zod";
import { eventSettings, type EventSettings } from "#functions/events/sink";

/** What one machine can be told beside `core/config`; parsed once at start. */
const Settings = z.object({
  /** State directory. */
  COFFER_HOME: z.string().min(1).default(".coffer"),
  COFFER_PORT: z.coerce.number().int().min(1).max(65535).default(8779),
  /** `json` for machines, `text` for people; by default text where stderr is a terminal. */
  COFFER_LOG: z.enum(["json", "text"]).optional(),
  /** Freshly initialised data directories kept ready. 0 = none; by default as many as the disk has room for without noticing. */
  COFFER_POOL: z.coerce.number().int().min(0).max(50).optional(),
  /** `auto`: a file system of its own for every volume where the machine allows it; `directory`: never, which makes commits faster and sizes soft. */
  COFFER_VOLUMES: z.enum(["auto", "directory"]).default("auto"),
  /** Connections to the state database, per role. */
  COFFER_DB_MAX: z.coerce.number().int().min(1).max(100).default(10),
  ...eventSettings,
  /** For crash suites: this process kills itself at the named point. */
  COFFER_FAILPOINT: z.string().optional(),
});

export interface LocalSettings {
  home: string;
  port: number;
  log: "json" | "text";
  pool: number | undefined;
  images: boolean;
  databaseMax: number;
  failpoint: string | undefined;
  /** What was said of where events go; a file of the home otherwise. */
  events: EventSettings;
}

/** Throws an Error that names the variable and the rule. */
export function settingsOf(environment: Record<string, string | undefined>, terminal: boolean): LocalSettings {
  const parsed = Settings.safeParse(environment);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new Error(`${issue?.path.join(".") ?? "environment"}: ${issue?.message ?? "invalid"}`);
  }
  const { COFFER_HOME, COFFER_PORT, COFFER_LOG, COFFER_POOL, COFFER_VOLUMES, COFFER_DB_MAX, COFFER_FAILPOINT, COFFER_EVENTS, COFFER_EVENTS_SECRET } = parsed.data;
  return {
    home: resolve(COFFER_HOME.replace(/^~(?=\/|$)/, homedir())),
    port: COFFER_PORT,
    log: COFFER_LOG ?? (terminal ? "text" : "json"),
    pool: COFFER_POOL,
    images: COFFER_VOLUMES === "auto",
    databaseMax: COFFER_DB_MAX,
    failpoint: COFFER_FAILPOINT,
    events: { ...(COFFER_EVENTS !== undefined && { COFFER_EVENTS }), COFFER_EVENTS_SECRET },
  };
}
