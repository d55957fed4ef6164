import { X509Certificate } from "node:crypto";
import * as z from "zod";
import { AppError, badRequest } from "#core/error";
import { JsonFile } from "#core/guest/agent/file";
import type { Keys } from "#core/guest/agent/keys";
import { GivenTls, TlsBundle, tlsBound, type TlsMode, type TlsResult } from "#core/guest/protocol";

/** null = the built-in one. Sealed as they came: what they hold is in the clear only where the server reads it. */
const Stored = z.object({ generation: z.number().int(), present: GivenTls.nullable(), previous: GivenTls.nullable().optional(), change: z.uuid().optional() });
type Stored = z.infer<typeof Stored>;
export type Choice = GivenTls | null;

/** What the engine presents, and in which mode. */
export interface Chosen {
  mode: TlsMode;
  bundle: TlsBundle;
}

/** Which certificate the server shall present, and which one it had before the last change. */
export class Certificates {
  readonly #file: JsonFile<Stored>;
  readonly #keys: Keys;
  readonly #instanceId: string;

  private constructor(file: JsonFile<Stored>, keys: Keys, instanceId: string) {
    this.#file = file;
    this.#keys = keys;
    this.#instanceId = instanceId;
  }

  /** What was given to another generation is not for this one, and does not open with its key. */
  static async open(path: string, { instanceId, generation }: { instanceId: string; generation: number }, keys: Keys): Promise<Certificates> {
    const none = { generation, present: null };
    const file = await JsonFile.open<Stored>(path, Stored, none);
    if (file.value.generation !== generation) await file.update(none);
    return new Certificates(file, keys, instanceId);
  }

  get present(): Choice {
    return this.#file.value.present;
  }

  /** AppError `badRequest` when there has been no change. */
  get previous(): Choice {
    const { previous } = this.#file.value;
    if (previous === undefined) throw badRequest("There is no earlier TLS configuration to go back to.", { reason: "tls.previous", final: true });
    return previous;
  }

  /** Opens what was chosen; undefined for the built-in one before enrolment. */
  chosen(choice: Choice): Chosen | undefined {
    if (choice === null) return this.#keys.tls && { mode: "builtin", bundle: this.#keys.tls };
    const text = this.#keys.unseal(tlsBound(this.#instanceId, this.#file.value.generation, choice.mode), choice.sealed);
    const bundle = TlsBundle.safeParse(JSON.parse(text));
    if (!bundle.success) throw badRequest("What was sealed is no certificate with its key.", { reason: "tls.sealed", final: true });
    return { mode: choice.mode, bundle: bundle.data };
  }

  /** Whether this change has been made: a job may be done twice. */
  made(change: string): boolean {
    return this.#file.value.change === change;
  }

  async choose(choice: Choice, change: string): Promise<void> {
    const { present, ...rest } = this.#file.value;
    if (choice?.sealed !== present?.sealed) await this.#file.update({ ...rest, change, present: choice, previous: present });
  }

  /** PEM of what the server presents; undefined before enrolment. */
  get certificate(): string | undefined {
    const chosen = this.chosen(this.present);
    return chosen && new X509Certificate(chosen.bundle.certificate).toString();
  }
}

/** What a `tls` job answers. */
export function told(choice: Choice): TlsResult {
  if (choice === null) return { mode: "builtin" };
  const { mode, containerRef, passwordRef } = choice;
  return { mode, ...(containerRef !== undefined && { containerRef }), ...(passwordRef !== undefined && { passwordRef }) };
}

/** AppError `serviceUnavailable` where there is nothing to present yet. */
export const notEnrolled = () => new AppError("serviceUnavailable", "The agent has no certificate of the installation yet.", { reason: "tls.enrolment", next: "Try again." });
