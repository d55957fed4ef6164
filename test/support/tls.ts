import { connect as dial } from "node:net";
import { connect } from "node:tls";

/** SSLRequest of the protocol, then TLS: SHA-256 of the certificate that the server presents; with a `ca`, only if that vouches for it at this time and address. */
export const presented = ({ address, port }: { address: string; port: number }, ca?: string) =>
  new Promise<string>((resolve, reject) => {
    const socket = dial(port, address, () => socket.write(Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])));
    socket.once("error", reject);
    socket.once("data", (answer) => {
      if (answer.toString() !== "S") return reject(new Error(`TLS is not offered: ${answer.toString()}`));
      const secured = connect({ socket, rejectUnauthorized: ca !== undefined, host: address, ...(ca !== undefined && { ca }) }, () => {
        resolve(secured.getPeerX509Certificate()?.fingerprint256 ?? "");
        secured.destroy();
      });
      secured.once("error", reject);
    });
  });
