import type { Hono } from "hono";

/** What clients read before they log in (Identity API v3, "API versions"). */
export function discovery(app: Hono, publicUrl: string) {
  const version = {
    id: "v3.14",
    status: "stable",
    updated: "2020-04-07T00:00:00Z",
    links: [{ rel: "self", href: `${publicUrl}/v3/` }],
    "media-types": [{ base: "application/json", type: "application/vnd.openstack.identity-v3+json" }],
  };
  for (const path of ["", "/"]) {
    // 300: the resource is a choice of versions, as Keystone has it.
    app.get(path, (c) => c.json({ versions: { values: [version] } }, 300, { Location: `${publicUrl}/v3/` }));
    app.get(`/v3${path}`, (c) => c.json({ version }));
  }
}
