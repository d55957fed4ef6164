import type { IsolationLevel } from "#core/driver/index";
import { DEFAULT_VERSION, type EmbeddedEngine } from "#functions/local/catalogue";

export interface Started {
  seconds: number;
  url: string;
  cloudsFile: string;
  home: string;
  engines: EmbeddedEngine[];
  level: IsolationLevel;
}

/** What a person needs after the start: what runs, where, and what to type next. */
export function banner({ seconds, url, cloudsFile, home, engines, level }: Started): string {
  const versions = engines.map(({ name, version }) => (name === DEFAULT_VERSION ? `${version} (default)` : version)).join(", ");
  const volumes = level.volume === "ext4" ? "file systems of their size (ext4)" : "directories, kept to their size by the agents";
  const users = level.users ? "a user of its own for every engine" : "one user for everything: one trust domain";
  return `
Coffer is ready (${seconds.toFixed(1)} s)
  API         ${url}/v1.0/<project id>
  identity    ${url}/identity/v3
  clouds      ${cloudsFile}   (coffer, coffer-alt, coffer-admin)
  PostgreSQL  ${versions}
  isolation   ${users}; memory ${level.memory}, cpu ${level.cpu}, volumes ${volumes}
  state       ${home}

Next, with python3-openstackclient and python3-troveclient:
  export OS_CLIENT_CONFIG_FILE=${cloudsFile} OS_CLOUD=coffer
  openstack database instance create pg1 --flavor small --size 1 --datastore postgresql --datastore-version ${DEFAULT_VERSION} --databases app --users alice:secret

Ctrl-C stops everything in order; the next start brings every instance back.
`;
}
