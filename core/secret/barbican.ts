import { deadline, type Clock } from "#core/clock";
import { AppError, badRequest } from "#core/error";
import type { Consumer, SecretStore } from "#core/secret/store";

const answerMs = 5_000;
/** A PKCS#12 with a long chain stays far below; Barbican's own limit for a secret is 20 KB. */
const longest = 64 * 1024;

/**
 * The Key Manager API v1. `url` is the root that references begin with: no other host is ever
 * asked, whatever a reference says, as it comes from a user and his token would go there.
 */
export function barbican({ url, clock }: { url: string; clock: Clock }): SecretStore {
  const root = url.replace(/\/+$/, "");

  async function ask(path: string, token: string, init: RequestInit = {}): Promise<Response> {
    try {
      return await fetch(`${root}${path}`, {
        ...init,
        headers: { "x-auth-token": token, accept: "application/json", "openstack-api-version": "key-manager 1.1", ...init.headers },
        redirect: "error",
        signal: deadline(clock, answerMs),
      });
    } catch (cause) {
      throw new AppError("serviceUnavailable", "The key manager does not answer.", { reason: "secret.unreachable", next: "Try again.", cause });
    }
  }

  function pathOf(ref: string): string {
    const [, id] = /^\/v1\/secrets\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/?$/i.exec(ref.startsWith(root) ? ref.slice(root.length) : "") ?? [];
    if (id === undefined) throw badRequest(`'${ref.slice(0, 200)}' is not the reference of a secret in this installation's key manager.`, { reason: "secret.ref", next: `It has the form ${root}/v1/secrets/<uuid>.` });
    return `/v1/secrets/${id.toLowerCase()}`;
  }

  function refuse(ref: string, status: number): AppError {
    if (status >= 500) return new AppError("serviceUnavailable", `The key manager answered with ${status}.`, { reason: "secret.failed", next: "Try again." });
    return badRequest(`The secret '${ref.slice(0, 200)}' cannot be read: ${status === 403 || status === 404 ? "there is none of this project with that reference" : `the key manager answered with ${status}`}.`, { reason: "secret.unknown" });
  }

  const note = async (method: string, ref: string, token: string, consumer: Consumer, also: number[]) => {
    const { status } = await ask(`${pathOf(ref)}/consumers`, token, { method, body: JSON.stringify(consumer), headers: { "content-type": "application/json" } });
    if (status > 299 && !also.includes(status)) throw refuse(ref, status);
  };

  return {
    async fetch(ref, token) {
      const response = await ask(`${pathOf(ref)}/payload`, token, { headers: { accept: "application/octet-stream" } });
      // A secret that was stored as text is handed out as text only.
      const answer = response.status === 406 ? await ask(`${pathOf(ref)}/payload`, token, { headers: { accept: "text/plain" } }) : response;
      if (answer.status !== 200) throw refuse(ref, answer.status);
      const bytes = Buffer.from(await answer.arrayBuffer());
      if (bytes.length > longest) throw badRequest(`The secret '${ref.slice(0, 200)}' is longer than ${longest} bytes.`, { reason: "secret.long" });
      return bytes;
    },
    register: (ref, token, consumer) => note("POST", ref, token, consumer, []),
    unregister: (ref, token, consumer) => note("DELETE", ref, token, consumer, [404]),
  };
}
