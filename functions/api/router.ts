import { badRequest } from "#core/error";
import { aliases, anyMethod, routes, type Route, type RouteKey } from "#functions/api/routes";

export interface Match {
  key: RouteKey;
  route: Route;
  /** Decoded exactly once, so that a name may contain `/`, `%` or `@`. */
  params: Record<string, string>;
}

interface Node {
  fixed: Map<string, Node>;
  any?: { name: string; node: Node };
  keys: Map<string, RouteKey>;
}

const fresh = (): Node => ({ fixed: new Map(), keys: new Map() });

function add(root: Node, pattern: string, key: RouteKey) {
  const [method = "", path = ""] = pattern.split(" ");
  let node = root;
  for (const part of path.split("/").slice(1)) {
    const name = /^\{(.+)\}$/.exec(part)?.[1];
    if (name === undefined) {
      const next = node.fixed.get(part) ?? fresh();
      node.fixed.set(part, next);
      node = next;
    } else {
      // Parameters at one place share a node; the name a row gives it is kept with the row's path.
      node.any ??= { name, node: fresh() };
      if (node.any.name !== name) throw new Error(`${pattern}: this place is called ${node.any.name} elsewhere`);
      node = node.any.node;
    }
  }
  node.keys.set(method, key);
}

const root = fresh();
for (const key of Object.keys(routes) as RouteKey[]) if (routes[key].who !== "nobody") add(root, key, key);
for (const [pattern, key] of Object.entries(aliases)) add(root, pattern, key);
for (const key of anyMethod) for (const method of ["POST", "PUT", "PATCH", "DELETE", "HEAD"]) add(root, key.replace("GET", method), key);

/**
 * The route that a path below `/v1.0/{project}` means; fixed words win over parameters. Segments
 * come as they were sent. A wrong method finds nothing, as does a trailing slash (contract §0.2).
 */
export function match(method: string, segments: string[]): Match | undefined {
  const found = suffixed(method, segments) ?? walk(root, method, segments, {});
  return found && { key: found.key, route: routes[found.key], params: found.params };
}

/** Routes that Trove calls resources: datastores, modules and all extensions. */
const resources = /^\/(datastores|modules)(\/\{\w+\})?$|^\/mgmt\/|^\/(instances|clusters)\/\{id\}\/(users|databases|root)(\/|$)/;

/**
 * Such a route may end in `.json` or `.xml`; the reply is JSON whichever it was (contract §0.2). Names of
 * users and databases are whole: where upstream cuts them, `u1.json` could be created but never addressed.
 */
function suffixed(method: string, segments: string[]): Pick<Match, "key" | "params"> | undefined {
  const name = /^(.+)\.(?:json|xml)$/.exec(segments.at(-1) ?? "")?.[1];
  if (name === undefined) return undefined;
  const found = walk(root, method, [...segments.slice(0, -1), name], {});
  if (!found || /\{(user|database)\}$/.test(found.key)) return undefined;
  return resources.test(found.key.replace(/^\w+ /, "")) ? found : undefined;
}

function walk(node: Node, method: string, [head, ...rest]: string[], params: Record<string, string>): Pick<Match, "key" | "params"> | undefined {
  if (head === undefined) {
    const key = node.keys.get(method);
    return key && { key, params };
  }
  const fixed = node.fixed.get(head);
  const found = fixed && walk(fixed, method, rest, params);
  if (found || !node.any || head === "") return found;
  return walk(node.any.node, method, rest, { ...params, [node.any.name]: head });
}

/** One level of percent-encoding off; 400 for what is no UTF-8 or holds a NUL, which no name can. */
export function decode(segment: string): string {
  let text: string;
  try {
    text = decodeURIComponent(segment);
  } catch (cause) {
    throw badRequest("The path is not valid percent-encoded UTF-8.", { reason: "path.encoding", cause });
  }
  if (text.includes("\0")) throw badRequest("The path contains a NUL character.", { reason: "path.nul" });
  return text;
}
