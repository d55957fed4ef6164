import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { createPrivateKey, createPublicKey, randomBytes, webcrypto } from "node:crypto";
import { isIP } from "node:net";

/** Certificates of the installation: its own CA, and what that CA signs. PEM everywhere. */
export interface Authority {
  certificate: string;
  /** PKCS#8. */
  key: string;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const DAY = 86_400_000;
const CA_DAYS = 3650;
/** Longest validity that strict TLS clients take for a server certificate. */
const CERTIFICATE_DAYS = 397;
/** Clocks of guests may be behind ours. */
const BACKDATE = DAY;

x509.cryptoProvider.set(webcrypto as never);

const serial = () => `00${randomBytes(15).toString("hex")}`;

/** A fresh CA for one installation. */
export async function createAuthority(installation: string, now: Date): Promise<Authority> {
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]));
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: `CN=Coffer ${installation}`,
    notBefore: new Date(now.getTime() - BACKDATE),
    notAfter: new Date(now.getTime() + CA_DAYS * DAY),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const key = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
  return {
    certificate: certificate.toString("pem"),
    key: createPrivateKey({ key, format: "der", type: "pkcs8" }).export({ format: "pem", type: "pkcs8" }).toString(),
  };
}

/**
 * A server certificate for a P-256 key, with the given names and addresses as subject
 * alternative names. Throws on a key of another kind.
 */
export async function issue(authority: Authority, publicKey: Buffer, names: string[], now: Date): Promise<string> {
  const details = createPublicKey({ key: publicKey, format: "der", type: "spki" });
  if (details.asymmetricKeyDetails?.namedCurve !== "prime256v1") throw new Error("the TLS key must be a P-256 key");
  const der = createPrivateKey(authority.key).export({ format: "der", type: "pkcs8" });
  const signingKey = await webcrypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"]);
  const subject = await webcrypto.subtle.importKey("spki", publicKey, algorithm, true, ["verify"]);
  const issuer = new x509.X509Certificate(authority.certificate);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: `CN=${names[0] ?? "coffer"}`,
    issuer: issuer.subject,
    notBefore: new Date(now.getTime() - BACKDATE),
    notAfter: new Date(now.getTime() + CERTIFICATE_DAYS * DAY),
    signingAlgorithm: algorithm,
    publicKey: subject,
    signingKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) ? ("ip" as const) : ("dns" as const), value })),
      ),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      await x509.SubjectKeyIdentifierExtension.create(subject),
    ],
  });
  return certificate.toString("pem");
}
