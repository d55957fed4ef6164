/** Contract §0.1: there is one version, and no microversion. */
const version = (origin: string) => ({
  id: "v1.0",
  status: "CURRENT",
  updated: "2012-08-01T00:00:00Z",
  links: [{ rel: "self", href: `${origin}/v1.0/` }],
});

export const versionList = (origin: string) => ({ versions: [version(origin)] });
export const versionDetail = (origin: string) => ({ version: version(origin) });
