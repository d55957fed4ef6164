import { chmod, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** The users of the local identity service, as clouds of OpenStack's own client configuration. */
const clouds = [
  { name: "coffer", user: "demo", project: "demo" },
  { name: "coffer-alt", user: "alt", project: "alt" },
  { name: "coffer-admin", user: "admin", project: "admin" },
] as const;

/** Writes `clouds.yaml` (mode 0600) and returns its path. */
export async function writeClouds(home: string, authUrl: string, passwords: Record<"demo" | "alt" | "admin", string>): Promise<string> {
  const path = join(home, "clouds.yaml");
  const entries = clouds.map(
    ({ name, user, project }) => `  ${name}:
    auth:
      auth_url: ${authUrl}
      username: ${user}
      password: ${JSON.stringify(passwords[user])}
      project_name: ${project}
      user_domain_name: Default
      project_domain_name: Default
    region_name: RegionOne
    identity_api_version: 3
`,
  );
  await writeFile(`${path}.new`, `clouds:\n${entries.join("")}`, { mode: 0o600 });
  await chmod(`${path}.new`, 0o600);
  await rename(`${path}.new`, path);
  return path;
}
