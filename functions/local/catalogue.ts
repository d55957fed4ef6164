import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { StartError } from "#functions/node/start-error";

/** One embedded server: `name` is the major, `version` the exact number, `native` its programs. */
export interface EmbeddedEngine {
  name: string;
  version: string;
  native: string;
}

export const DEFAULT_VERSION = "17";

/** The PostgreSQL majors that npm installed. Throws StartError when the default one is missing. */
export function embeddedEngines(source: string): EmbeddedEngine[] {
  const found = ["16", "17", "18"].flatMap((name) => {
    const home = join(source, "node_modules", `pg${name}`);
    const manifest = join(home, "package.json");
    if (!existsSync(manifest)) return [];
    // The package's version is the server's, with a patch number and a build behind it: 17.10.0-beta.17.
    const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
    return [{ name, version: version.split(".").slice(0, 2).join("."), native: join(home, "native") }];
  });
  if (!found.some(({ name }) => name === DEFAULT_VERSION)) {
    throw new StartError(`The embedded PostgreSQL ${DEFAULT_VERSION} is not installed for ${process.platform}-${process.arch}; run npm ci without --omit=optional on Linux x64.`);
  }
  return found;
}
