/*
 * Pages of PostgreSQL's relations: their checksum (storage/checksum_impl.h: 32 FNV-1a sums side by side) and
 * their LSN, the first eight bytes.
 */

export const PAGE_BYTES = 8192;
const words = PAGE_BYTES / 4;
const lanes = 32;
const rows = words / lanes;
const prime = 16777619;
/** Pages of a segment file: 1 GB. */
export const SEGMENT_PAGES = 131_072;

const offsets = new Int32Array([
  0x5b1f36e9, 0xb8525960, 0x02ab50aa, 0x1de66d2a, 0x79ff467a, 0x9bb9f8a3, 0x217e7cd2, 0x83e13d2c, 0xf8d4474f, 0xe39eb970, 0x42c6ae16, 0x993216fa, 0x7b093b5d, 0x98daff3c, 0xf718902a, 0x0b1c9cdb,
  0xe58f764b, 0x187636bc, 0x5d7b3bb1, 0xe73de7de, 0x92bec979, 0xcca6c0b2, 0x304a0979, 0x85aa43d4, 0x783125bb, 0x6ca8eaa2, 0xe407eac6, 0x4b5cfc3e, 0x9fbf8c76, 0x15ca20be, 0xf2ca9fd3, 0x959bd756,
]);

/** A view of pages; the buffer must begin at a multiple of four. */
export class Pages {
  readonly #words: Int32Array;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  }

  /** All zero: allocated and never written. */
  isNew(at: number): boolean {
    const from = at * words;
    // pd_upper is 0 in no page that was written.
    if (this.#bytes.readUInt16LE(at * PAGE_BYTES + 14) !== 0) return false;
    for (let word = from; word < from + words; word++) if (this.#words[word] !== 0) return false;
    return true;
  }

  lsn(at: number): bigint {
    const from = at * PAGE_BYTES;
    return (BigInt(this.#bytes.readUInt32LE(from)) << 32n) | BigInt(this.#bytes.readUInt32LE(from + 4));
  }

  /** Whether the checksum is that of the page as block `block` of its relation. */
  isSound(at: number, block: number): boolean {
    const from = at * words;
    const word2 = this.#words[from + 2] ?? 0;
    this.#words[from + 2] = word2 & 0xffff0000;
    let sum = this.#sum(from);
    this.#words[from + 2] = word2;
    sum ^= block;
    return ((sum >>> 0) % 65_535) + 1 === (word2 & 0xffff);
  }

  #sum(from: number): number {
    const data = this.#words;
    let folded = 0;
    for (let lane = 0; lane < lanes; lane += 4) {
      // Four at a time, so that the processor need not wait for each product.
      let [a, b, c, d] = [offsets[lane]!, offsets[lane + 1]!, offsets[lane + 2]!, offsets[lane + 3]!];
      for (let row = 0; row < rows; row++) {
        const at = from + row * lanes + lane;
        const [x, y, z, w] = [a ^ data[at]!, b ^ data[at + 1]!, c ^ data[at + 2]!, d ^ data[at + 3]!];
        a = Math.imul(x, prime) ^ (x >>> 17);
        b = Math.imul(y, prime) ^ (y >>> 17);
        c = Math.imul(z, prime) ^ (z >>> 17);
        d = Math.imul(w, prime) ^ (w >>> 17);
      }
      for (let round = 0; round < 2; round++) {
        a = Math.imul(a, prime) ^ (a >>> 17);
        b = Math.imul(b, prime) ^ (b >>> 17);
        c = Math.imul(c, prime) ^ (c >>> 17);
        d = Math.imul(d, prime) ^ (d >>> 17);
      }
      folded ^= a ^ b ^ c ^ d;
    }
    return folded;
  }
}

/** `16/B374D848` as a number. */
export function lsnOf(text: string): bigint {
  const [high = "", low = ""] = text.split("/");
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}
