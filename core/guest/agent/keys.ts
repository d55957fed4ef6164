import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, X509Certificate, type KeyObject } from "node:crypto";
import * as z from "zod";
import type { Clock } from "#core/clock";
import { JsonFile } from "#core/guest/agent/file";
import type { EnrolReply, TlsBundle } from "#core/guest/protocol";
import { unseal } from "#core/guest/seal";

const Stored = z.object({
  generation: z.number().int(),
  /** PKCS #8 PEM, as all private keys here. */
  signingKey: z.string(),
  /** Milliseconds since 1970. */
  signingKeyMadeAt: z.number(),
  /** Offered to the server, not known to be accepted. */
  nextSigningKey: z.string().optional(),
  tlsKey: z.string(),
  /** X25519; absent in a file of an agent that had none. */
  sealingKey: z.string().optional(),
  /** Present once enrolled. */
  enrolment: z.object({ certificate: z.string(), ca: z.string() }).optional(),
});
type Stored = z.infer<typeof Stored>;

const pem = (key: KeyObject) => key.export({ type: "pkcs8", format: "pem" }).toString();
const newSigningKey = () => pem(generateKeyPairSync("ed25519").privateKey);
/** SPKI DER, base64. */
const publicHalf = (privateKey: string) => createPublicKey(privateKey).export({ type: "spki", format: "der" }).toString("base64");

/** The agent's private keys. Every key is on disk before anybody hears of its public half. */
export class Keys {
  readonly #file: JsonFile<Stored | null>;
  readonly #clock: Clock;
  #signer: KeyObject;
  #alternated = false;

  private constructor(file: JsonFile<Stored | null>, clock: Clock) {
    this.#file = file;
    this.#clock = clock;
    this.#signer = createPrivateKey(this.#stored.signingKey);
  }

  /** Reads the keys of this generation; makes them where there are none. An older generation's are of no use. */
  static async open(path: string, generation: number, clock: Clock): Promise<Keys> {
    const file = await JsonFile.open<Stored | null>(path, Stored.nullable(), null);
    if (file.value?.generation !== generation) {
      await file.update({
        generation,
        signingKey: newSigningKey(),
        signingKeyMadeAt: clock.now().getTime(),
        tlsKey: pem(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey),
      });
    }
    if (file.value && file.value.sealingKey === undefined) {
      await file.update({ ...file.value, sealingKey: pem(generateKeyPairSync("x25519").privateKey) });
    }
    return new Keys(file, clock);
  }

  get #stored(): Stored {
    const stored = this.#file.value;
    if (!stored) throw new Error("keys are used before they are made");
    return stored;
  }

  get publicKey(): string {
    return publicHalf(this.#stored.signingKey);
  }

  get tlsPublicKey(): string {
    return publicHalf(this.#stored.tlsKey);
  }

  /** The public half of the key for what is confided to this agent. */
  get sealingKey(): string {
    return publicHalf(this.#sealer);
  }

  /** Opens what was sealed for this agent and this purpose; AppError `badRequest` for anything else. */
  unseal(bound: string, sealed: string): string {
    return unseal(createPrivateKey(this.#sealer), bound, sealed);
  }

  get #sealer(): string {
    const { sealingKey } = this.#stored;
    if (sealingKey === undefined) throw new Error("the sealing key is used before it is made");
    return sealingKey;
  }

  /** Undefined until enrolled. */
  get tls(): TlsBundle | undefined {
    const { enrolment, tlsKey } = this.#stored;
    return enrolment && { ...enrolment, key: tlsKey };
  }

  /** Ed25519, base64. */
  sign(text: string): string {
    return sign(null, Buffer.from(text), this.#signer).toString("base64");
  }

  /**
   * True once two thirds of the built-in certificate's life are over, and up to a twelfth of it later: which moment, its
   * own bytes decide, so that many that were made together are not renewed together. False before enrolment.
   */
  get renewalDue(): boolean {
    const { enrolment } = this.#stored;
    if (!enrolment) return false;
    const { validFrom, validTo, fingerprint256 } = new X509Certificate(enrolment.certificate);
    const from = Date.parse(validFrom);
    const share = 2 / 3 + Number.parseInt(fingerprint256.replaceAll(":", "").slice(0, 8), 16) / 2 ** 32 / 12;
    return this.#clock.now().getTime() >= from + (Date.parse(validTo) - from) * share;
  }

  async enrolled(reply: EnrolReply): Promise<void> {
    await this.#file.update({ ...this.#stored, enrolment: { certificate: reply.certificate, ca: reply.ca } });
  }

  /** True when the signing key is older than `seconds`, or a rotation is unfinished. A clock that was set back counts as age. */
  rotationDue(seconds: number): boolean {
    const age = Math.abs(this.#clock.now().getTime() - this.#stored.signingKeyMadeAt);
    return this.#stored.nextSigningKey !== undefined || age >= seconds * 1000;
  }

  /** The public half of the key to come: the same until `rotated`. */
  async next(): Promise<string> {
    const next = this.#stored.nextSigningKey ?? newSigningKey();
    await this.#file.update({ ...this.#stored, nextSigningKey: next });
    return publicHalf(next);
  }

  /** Signs with the other of present and next key, until called again; false when there is no next one. */
  alternate(): boolean {
    const { nextSigningKey: next, signingKey } = this.#stored;
    if (next === undefined) return false;
    this.#alternated = !this.#alternated;
    this.#signer = createPrivateKey(this.#alternated ? next : signingKey);
    return true;
  }

  /** True while the next key is used in place of the present one. */
  get alternated(): boolean {
    return this.#alternated;
  }

  /** The next key is the present one from now on. */
  async rotated(): Promise<void> {
    const { nextSigningKey: next, ...stored } = this.#stored;
    if (next === undefined) return;
    this.#alternated = false;
    this.#signer = createPrivateKey(next);
    await this.#file.update({ ...stored, signingKey: next, signingKeyMadeAt: this.#clock.now().getTime() });
  }
}
