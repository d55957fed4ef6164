import { Database } from "#core/db/index";
import { upToDate } from "#core/db/migrate";
import { describe } from "#core/error";
import { StartError } from "#functions/node/start-error";
import type { ServerSettings } from "#functions/server/settings";

/** The database as each of the roles that serve. Throws StartError while it lacks a migration of this version. */
export async function openDatabases(settings: ServerSettings, migrations: string) {
  const urls = { app: as("coffer_app", settings.COFFER_APP_PASSWORD), system: as("coffer_system", settings.COFFER_SYSTEM_PASSWORD) };
  let current: boolean;
  try {
    current = await upToDate({ url: urls.system, folder: migrations });
  } catch (error) {
    throw new StartError(`The database in DATABASE_URL cannot be read as coffer_system (${describe(error)}); was 'npm run migrate' run, with this COFFER_SYSTEM_PASSWORD?`);
  }
  if (!current) throw new StartError("The database's schema is older than this version; run 'npm run migrate' first.");
  const options = { max: settings.COFFER_DB_MAX, prepare: true };
  return { app: new Database(urls.app, options), system: new Database(urls.system, options), systemUrl: urls.system };

  function as(role: string, password: string): string {
    const url = new URL(settings.DATABASE_URL);
    url.username = role;
    url.password = encodeURIComponent(password);
    return url.href;
  }
}
