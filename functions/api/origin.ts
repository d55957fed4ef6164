/** What is known of a connection beside the request, where it is: of Lambda (payload 2.0), or of Node. */
interface Environment {
  requestContext?: { http?: { sourceIp?: string } };
  incoming?: { socket?: { remoteAddress?: string } };
}

/** By what way a request came, for events (contract §8.6): who asked us, which may be a proxy, and by what name. */
export function originOf(request: Request, env: unknown): { clientIp: string | null; serverIp: string } {
  const { requestContext, incoming } = (env ?? {}) as Environment;
  return { clientIp: requestContext?.http?.sourceIp ?? incoming?.socket?.remoteAddress ?? null, serverIp: new URL(request.url).hostname };
}
