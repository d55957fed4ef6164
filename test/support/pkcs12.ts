import { execFile } from "node:child_process";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { temporary } from "#test/support/cluster";

const run = promisify(execFile);

export interface Issued {
  certificate: string;
  key: string;
}

/** A CA of openssl's, with what it signs, in a directory that `close` removes. */
export async function openssl() {
  const directory = await temporary("coffer-pkcs12-");
  let count = 0;
  const at = (name: string) => join(directory, name);
  const call = (...args: string[]) => run("openssl", args, { cwd: directory });

  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  async function read(name: string): Promise<Issued> {
    return { certificate: await readFile(at(`${name}.pem`), "utf8"), key: await readFile(at(`${name}.key`), "utf8") };
  }

  async function authority(cn = "Their CA"): Promise<Issued> {
    const name = `n${++count}`;
    await call("req", "-x509", ...key, "-days", "30", "-subj", `/CN=${cn}`, "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", `${name}.key`, "-out", `${name}.pem`);
    return read(name);
  }

  /** `not` are openssl's dates, e.g. `20200101000000Z`; `how` another key. */
  async function issue(ca: Issued, { cn = "db.example", san = "DNS:db.example,IP:127.0.0.1", not, how = key }: { cn?: string; san?: string; not?: [string, string]; how?: string[] } = {}): Promise<Issued> {
    const name = `n${++count}`;
    await writeFile(at("ca.pem"), ca.certificate);
    await writeFile(at("ca.key"), ca.key);
    await call("req", ...how, "-subj", `/CN=${cn}`, "-keyout", `${name}.key`, "-out", `${name}.csr`);
    await writeFile(at("ext"), `subjectAltName=${san}\nbasicConstraints=CA:FALSE\n`);
    const { stdout } = await call("version");
    if (!stdout.startsWith("OpenSSL 3")) throw new Error(`openssl 3 is needed, not ${stdout}`);
    if (not) {
      await writeFile(at("index"), "");
      await writeFile(at("ca.cnf"), "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nrand_serial=yes\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n");
      await call("ca", "-batch", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-in", `${name}.csr`, "-out", `${name}.pem`, "-notext", "-startdate", not[0], "-enddate", not[1], "-extfile", "ext");
    } else {
      await call("x509", "-req", "-in", `${name}.csr`, "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "10", "-extfile", "ext", "-out", `${name}.pem`);
    }
    return read(name);
  }

  /** `options` of `openssl pkcs12 -export`. */
  async function bundle({ certificate, key: own }: Issued, { password = "", chain = [], options = [] }: { password?: string; chain?: Issued[]; options?: string[] } = {}): Promise<Buffer> {
    const name = `n${++count}`;
    await writeFile(at(`${name}.pem`), [certificate, ...chain.map((one) => one.certificate)].join("\n"));
    await writeFile(at(`${name}.key`), own);
    await call("pkcs12", "-export", "-in", `${name}.pem`, "-inkey", `${name}.key`, "-out", `${name}.p12`, "-passout", `pass:${password}`, ...options);
    return readFile(at(`${name}.p12`));
  }

  return { authority, issue, bundle, call, at, close: () => rm(directory, { recursive: true, force: true }) };
}
export type OpenSsl = Awaited<ReturnType<typeof openssl>>;
