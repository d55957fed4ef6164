/** One value of DER (X.690): a tag and its bytes. Throws on what is longer than it may be, or of indefinite length. */
export interface Node {
  /** Class and number as they stand: 0x30 SEQUENCE, 0xa0 [0] … */
  tag: number;
  value: Buffer;
  /** With its tag and length. */
  raw: Buffer;
}

export class DerError extends Error {}

export function readAll(bytes: Buffer): Node[] {
  const nodes: Node[] = [];
  for (let at = 0; at < bytes.length; ) {
    const node = readOne(bytes.subarray(at));
    nodes.push(node);
    at += node.raw.length;
  }
  return nodes;
}

function readOne(bytes: Buffer): Node {
  const [tag, short] = bytes;
  if (tag === undefined || short === undefined) throw new DerError("it ends early");
  if (short === 0x80) throw new DerError("it has values of indefinite length (BER)");
  const more = short & 0x80 ? short & 0x7f : 0;
  if (more > 4 || bytes.length < 2 + more) throw new DerError("it ends early");
  const length = more === 0 ? short : bytes.readUIntBE(2, more);
  const start = 2 + more;
  if (bytes.length < start + length) throw new DerError("it ends early");
  return { tag, value: bytes.subarray(start, start + length), raw: bytes.subarray(0, start + length) };
}

/** The members of a constructed value with this tag. */
export function members(node: Node | undefined, tag = 0x30): Node[] {
  return readAll(bytesOf(node, tag));
}

export function bytesOf(node: Node | undefined, tag: number): Buffer {
  if (node?.tag !== tag) throw new DerError("it is not built as expected");
  return node.value;
}

export function integerOf(node: Node | undefined): number {
  const bytes = bytesOf(node, 0x02);
  if (bytes.length === 0 || bytes.length > 6) throw new DerError("a number in it is too large");
  return bytes.readIntBE(0, bytes.length);
}

/** Dotted, as in the standards. */
export function oidOf(node: Node | undefined): string {
  const numbers: number[] = [];
  let number = 0;
  for (const byte of bytesOf(node, 0x06)) {
    number = number * 128 + (byte & 0x7f);
    if (byte & 0x80) continue;
    numbers.push(number);
    number = 0;
  }
  const [first = 0, ...rest] = numbers;
  const head = Math.min(Math.floor(first / 40), 2);
  return [head, first - head * 40, ...rest].join(".");
}
