/** Hrefs of contract §0.5 and §0.6. The scheme is the one the client used, as far as proxies tell. */
export class Links {
  readonly #origin: string;
  readonly #projectId: string;
  readonly #url: URL;

  constructor(request: Request, projectId: string, publicEndpoint?: string) {
    this.#url = new URL(request.url);
    this.#origin = originOf(request, publicEndpoint);
    this.#projectId = projectId;
  }

  /** `self` and `bookmark` of an object. */
  of(collection: string, id: string) {
    const tail = `${collection}/${encodeURIComponent(id)}`;
    return [
      { href: `${this.#origin}/v1.0/${this.#projectId}/${tail}`, rel: "self" },
      { href: `${this.#origin}/${tail}`, rel: "bookmark" },
    ];
  }

  /** The present request with another marker; nothing on the last page. */
  next(marker: string | undefined) {
    if (marker === undefined) return {};
    const query = new URLSearchParams(this.#url.search);
    query.set("marker", marker);
    const text = query.toString().replaceAll("+", "%20");
    return { links: [{ rel: "next", href: `${this.#origin}${this.#url.pathname}?${text}` }] };
  }
}

/** Scheme and host by which clients reach us. */
export function originOf(request: Request, publicEndpoint?: string): string {
  if (publicEndpoint) return publicEndpoint.replace(/\/+$/, "");
  const url = new URL(request.url);
  const forwarded = request.headers.get("x-forwarded-proto")?.split(",")[0]?.trim();
  const scheme = forwarded === "https" || forwarded === "http" ? forwarded : url.protocol.slice(0, -1);
  return `${scheme}://${request.headers.get("host") ?? url.host}`;
}
