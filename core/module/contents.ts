import { createHash } from "node:crypto";
import { badRequest, notFound } from "#core/error";
import { readExtensions } from "#core/module/extensions";

/** What can be applied here, and what its contents must be; `ping` judges them only when it is applied, as upstream. */
const types: Record<string, (contents: string) => unknown> = {
  ping: () => undefined,
  postgresql_extensions: readExtensions,
};

/** Bytes, decoded. Contents travel to guests in one reply with others, which a gateway bounds at 6 MB. */
const LONGEST = 16 * 1024;

/** A type by its name, in any case; 404 (contract §4.2). */
export function typeOf(wanted: string): string {
  const type = wanted.toLowerCase();
  if (!Object.hasOwn(types, type)) {
    throw notFound(`Module type '${wanted}' cannot be found.`, { reason: "module.type_unknown", next: `Offered are ${Object.keys(types).join(", ")}.` });
  }
  return type;
}

export interface Contents {
  plain: Buffer;
  md5: string;
}

/** Decodes and judges; 400. The MD5 is of the text as it was sent, as upstream: clients only compare it. */
export function readContents(type: string, sent: string): Contents {
  const refuse = (rule: string) => badRequest(`module['contents'] ${rule}.`, { reason: "module.contents" });
  const text = sent.replace(/\s/g, "");
  if (text.length === 0) throw refuse("is empty");
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) throw refuse("is not base64");
  const plain = Buffer.from(text, "base64");
  if (plain.length > LONGEST) throw refuse(`has ${plain.length} bytes; ${LONGEST} is the most`);
  checkContents(type, plain);
  return { plain, md5: createHash("md5").update(sent).digest("hex") };
}

/** 400 unless contents are what their type needs. */
export function checkContents(type: string, plain: Buffer): void {
  types[type]?.(plain.toString("utf8"));
}
