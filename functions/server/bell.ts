import postgres from "postgres";
import { describe } from "#core/error";
import { log } from "#core/log";

/** To whom something happened: a guest has a job, or has said something that a workflow may wait for. */
export interface Bell {
  ring(what: "job" | "report", instanceId: string): void;
  close(): Promise<void>;
}

const CHANNEL = "coffer_bell";

/**
 * Processes that tell each other, by NOTIFY: a guest's request is held by one, its work carried by another.
 * Carries no data and may be lost: guests and workflows look by themselves in the end. `heard` is called in every
 * process, this one too. The connection is opened anew when it was lost.
 */
export async function openBell(url: string, heard: (what: string, instanceId: string) => void): Promise<Bell> {
  const sql = postgres(url, { max: 1, fetch_types: false, onnotice: () => {} });
  try {
    await sql.listen(CHANNEL, (text) => {
      const [what = "", instanceId = ""] = text.split(" ");
      heard(what, instanceId);
    });
  } catch (error) {
    await sql.end({ timeout: 1 });
    throw error;
  }
  return {
    ring(what, instanceId) {
      sql.notify(CHANNEL, `${what} ${instanceId}`).catch((error: unknown) => log.warn("bell not rung", { error: describe(error) }));
    },
    close: () => sql.end({ timeout: 1 }),
  };
}
