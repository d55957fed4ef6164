import type { KeyObject, X509Certificate } from "node:crypto";
import { badRequest } from "#core/error";
import { readPkcs12 } from "#core/ssl/pkcs12";

/** What a server is given, PEM. */
export interface Bundle {
  certificate: string;
  key: string;
  /** The other certificates of the chain, the issuer's first; empty for one that signed itself. */
  ca: string;
}

const refuse = (why: string) => badRequest(`The certificate of container_ref cannot be used: ${why}.`, { reason: "ssl.certificate" });

/** What the certificate, its key and the chain must be for a database server to present them. AppError `badRequest` names what is wrong. */
export async function bundleOf(bytes: Buffer, password: string, now: Date, { demandCa }: { demandCa: boolean }): Promise<Bundle> {
  const { keys, certificates } = await readPkcs12(bytes, password);
  const [key] = keys;
  if (!key) throw refuse("the PKCS#12 holds no private key");
  if (keys.length > 1) throw refuse("the PKCS#12 holds more than one private key");
  checkKey(key);
  if (certificates.length === 0) throw refuse("the PKCS#12 holds no certificate");
  const leaf = certificates.find((one) => one.checkPrivateKey(key));
  if (!leaf) throw refuse("no certificate belongs to the private key");
  const others = certificates.filter((one) => one.fingerprint256 !== leaf.fingerprint256);
  for (const one of [leaf, ...others]) checkDates(one, now);
  const chain = chainOf(leaf, others);
  if (demandCa && ![leaf, ...chain].some(({ ca }) => ca)) throw refuse("mode mtls needs the certificate of the CA that issues the clients' certificates, and the PKCS#12 holds none");
  const authorities = chain.length === 0 && demandCa ? [leaf] : chain;
  return { certificate: leaf.toString(), key: key.export({ type: "pkcs8", format: "pem" }).toString(), ca: authorities.map((one) => one.toString()).join("") };
}

/** What every supported server and client takes. */
function checkKey(key: KeyObject): void {
  const { modulusLength = 0, namedCurve = "" } = key.asymmetricKeyDetails ?? {};
  const good = (key.asymmetricKeyType === "rsa" && modulusLength >= 2048 && modulusLength <= 8192) || (key.asymmetricKeyType === "ec" && ["prime256v1", "secp384r1", "secp521r1"].includes(namedCurve));
  if (!good) throw refuse("its key must be RSA of 2048 to 8192 bit, or EC on P-256, P-384 or P-521");
}

const named = (one: X509Certificate) => `'${one.subject.replaceAll("\n", ", ").slice(0, 200)}'`;

function checkDates(one: X509Certificate, now: Date): void {
  if (new Date(one.validTo) <= now) throw refuse(`${named(one)} has expired at ${new Date(one.validTo).toISOString()}`);
  if (new Date(one.validFrom) > now) throw refuse(`${named(one)} is not valid before ${new Date(one.validFrom).toISOString()}`);
}

/** From the issuer upwards, then whatever else there is; a file with other certificates but without the issuer is a mistake. */
function chainOf(leaf: X509Certificate, others: X509Certificate[]): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let rest = others;
  for (let last = leaf; rest.length > 0; ) {
    const issuer = rest.find((one) => last.checkIssued(one) && last.verify(one.publicKey));
    if (!issuer) break;
    if (!issuer.ca) throw refuse(`${named(issuer)} issued ${named(last)} and is no CA`);
    chain.push(issuer);
    rest = rest.filter((one) => one !== issuer);
    last = issuer;
  }
  if (others.length > 0 && chain.length === 0) throw refuse(`the PKCS#12 holds other certificates, but not that of the issuer of ${named(leaf)}`);
  if (rest.some(({ ca }) => !ca)) throw refuse("the PKCS#12 holds a second certificate that is no CA");
  return [...chain, ...rest];
}
