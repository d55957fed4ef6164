import { createHash } from "node:crypto";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test, onTestFinished } from "vitest";
import { createFakeObjects, createLocalObjects } from "#core/driver/index";
import type { Container, ObjectStore } from "#core/driver/objectstore";
import { movableClock, type MovableClock } from "#test/support/clock";
import { temporary } from "#test/support/cluster";

const call = { signal: new AbortController().signal };
const box: Container = { projectId: "p1", name: "logs" };
const of = async function* (...parts: (string | Uint8Array)[]) {
  for (const part of parts) yield Buffer.from(part);
};
const text = async (content: AsyncIterable<Uint8Array> | undefined) => {
  const parts: Uint8Array[] = [];
  for await (const part of content ?? []) parts.push(part);
  return Buffer.concat(parts).toString();
};

async function local(clock: MovableClock) {
  const root = await temporary("coffer-objects-");
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  return { root, store: createLocalObjects({ root, clock }) };
}

const stores: Record<string, (clock: MovableClock) => Promise<ObjectStore>> = {
  fake: async (clock) => createFakeObjects(clock),
  local: async (clock) => (await local(clock)).store,
};

/** What every object store does. */
describe.each(Object.entries(stores))("%s object store", (_, make) => {
  const open = async () => {
    const clock = movableClock();
    const store = await make(clock);
    const put = (name: string, content = name, at = box) => store.put(at, name, of(content), {}, call);
    const names = async (options: { prefix?: string; after?: string; limit?: number } = {}, at = box) => (await store.list(at, { limit: 1000, ...options }, call))?.map(({ name }) => name);
    return { clock, store, put, names };
  };

  test("gives back what it was given, whole and in part, with size, sum, type and metadata", async () => {
    const { store } = await open();
    const stored = await store.put(box, "a/b", of("one ", "two ", "three"), { contentType: "text/plain", meta: { lines: "3" } }, call);
    expect(stored).toMatchObject({ name: "a/b", bytes: 13, etag: createHash("md5").update("one two three").digest("hex"), contentType: "text/plain", meta: { lines: "3" } });
    expect(await store.head(box, "a/b", call)).toEqual(stored);
    expect(await text((await store.get(box, "a/b", call))?.content)).toBe("one two three");
    expect(await text((await store.get(box, "a/b", call, { from: 4, to: 6 }))?.content)).toBe("two");
    expect(await text((await store.get(box, "a/b", call, { from: 8, to: 99 }))?.content)).toBe("three");
  });

  test("an object is replaced as a whole; one without content is one", async () => {
    const { store, put } = await open();
    const before = await put("a", "long enough");
    const after = await put("a", "new");
    expect(after.modifiedUs).toBeGreaterThan(before.modifiedUs);
    expect(await text((await store.get(box, "a", call))?.content)).toBe("new");
    expect((await store.put(box, "empty", of(), {}, call)).bytes).toBe(0);
    expect(await text((await store.get(box, "empty", call))?.content)).toBe("");
  });

  test("a content that breaks off leaves what was there, and nothing beside it", async () => {
    const { store, put, names } = await open();
    await put("a", "old");
    const broken = async function* () {
      yield Buffer.from("new");
      throw new Error("the line was cut");
    };
    await expect(store.put(box, "a", broken(), {}, call)).rejects.toThrow("the line was cut");
    await expect(store.put(box, "b", broken(), {}, call)).rejects.toThrow("the line was cut");
    expect([await names(), await text((await store.get(box, "a", call))?.content)]).toEqual([["a"], "old"]);
  });

  test("lists by prefix, in order of bytes, page by page, and across what looks like folders", async () => {
    const { put, names } = await open();
    const all = ["a", "a-b", "a.b", "a/", "a/b", "a/b/c", "a0", "ä", "//x", "Z", "=", "..", "../up", "a/../b", "%2e%2e", "\u{1F600}"];
    for (const name of all) await put(name);
    const sorted = [...all].sort((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)));
    expect(await names()).toEqual(sorted);
    expect(await names({ prefix: "a/" })).toEqual(sorted.filter((name) => name.startsWith("a/")));
    expect(await names({ prefix: "a/b" })).toEqual(["a/b", "a/b/c"]);
    for (let at = 0; at < sorted.length; at++) expect(await names({ after: sorted[at] ?? "", limit: 2 })).toEqual(sorted.slice(at + 1, at + 3));
    expect(await names({ prefix: "none" })).toEqual([]);
  });

  test("containers and projects are apart; a container that never held anything is none", async () => {
    const { store, put, names } = await open();
    await put("a");
    await put("b", "other's", { projectId: "p2", name: "logs" });
    expect(await names()).toEqual(["a"]);
    expect(await names({}, { projectId: "p1", name: "other" })).toBeUndefined();
    expect(await store.get({ projectId: "p2", name: "logs" }, "a", call)).toBeUndefined();
    await store.remove({ projectId: "p2", name: "logs" }, "a", call);
    expect(await names()).toEqual(["a"]);
  });

  test("removing twice is removing once; a container stays when it is empty", async () => {
    const { store, put, names } = await open();
    await put("a/b");
    await store.remove(box, "a/b", call);
    await store.remove(box, "a/b", call);
    expect([await names(), await store.head(box, "a/b", call), await store.get(box, "a/b", call)]).toEqual([[], undefined, undefined]);
  });

  test("what has expired is nowhere any more", async () => {
    const { store, clock, put, names } = await open();
    await put("stays");
    const expiresAt = new Date(clock.now().getTime() + 60_000);
    await store.put(box, "goes", of("x"), { expiresAt }, call);
    expect(await store.head(box, "goes", call)).toMatchObject({ expiresAt });
    clock.advance(60_000);
    expect([await names(), await store.head(box, "goes", call), await store.get(box, "goes", call)]).toEqual([["stays"], undefined, undefined]);
  });

  test("later objects are younger, however close together", async () => {
    const { put } = await open();
    const stamps: number[] = [];
    for (let count = 0; count < 20; count++) stamps.push((await put(`n${count}`)).modifiedUs);
    expect(stamps).toEqual([...new Set(stamps)].sort((a, b) => a - b));
  });
});

describe("the directory", () => {
  test("a sweep removes the files of what has expired, and drafts that a crash left", async () => {
    const clock = movableClock();
    const { root, store } = await local(clock);
    const files = async () => (await readdir(root, { recursive: true, withFileTypes: true })).filter((one) => one.isFile()).length;
    await store.put(box, "a/stays", of("x"), {}, call);
    await store.put(box, "a/goes", of("x"), { expiresAt: new Date(clock.now().getTime() + 1000) }, call);
    await mkdir(join(root, "drafts"), { recursive: true });
    await writeFile(join(root, "drafts", "half"), "x");
    clock.advance(1000);
    await store.sweep({ drafts: true });
    expect([await files(), (await store.list(box, { limit: 10 }, call))?.length]).toEqual([1, 1]);
  });

  test.each(["../../escape", "a/../../../escape", "..", "/etc/passwd", "a\0b", "C:\\x"])("the name %j stays inside", async (name) => {
    const { root, store } = await local(movableClock());
    await store.put(box, name, of("x"), {}, call);
    const files = (await readdir(root, { recursive: true, withFileTypes: true })).filter((one) => one.isFile());
    expect(files).toHaveLength(1);
    expect((await store.list(box, { limit: 10 }, call))?.map((one) => one.name)).toEqual([name]);
  });

  test("names that no file can have are refused by name", async () => {
    const { store } = await local(movableClock());
    for (const name of ["", "x".repeat(1025), "x".repeat(300)]) await expect(store.put(box, name, of("x"), {}, call)).rejects.toMatchObject({ code: "badRequest", reason: "object.name" });
    for (const name of ["", "a/b", "x".repeat(257)]) await expect(store.put({ projectId: "p", name }, "a", of("x"), {}, call)).rejects.toMatchObject({ reason: "container.name" });
  });

  test("a content that is given up, begun or not, keeps no file open", async () => {
    const { store } = await local(movableClock());
    await store.put(box, "a", of("x".repeat(200_000)), {}, call);
    const open = async () => (await readdir("/proc/self/fd")).length;
    const before = await open();
    for (const pieces of [0, 1]) {
      for (let count = 0; count < 20; count++) {
        const content = (await store.get(box, "a", call))?.content[Symbol.asyncIterator]();
        if (pieces > 0) await content?.next();
        await content?.return?.();
      }
    }
    expect(await open()).toBeLessThan(before + 10);
  });

  test("500 MB come and go in the memory of a few pieces", async () => {
    const { store } = await local(movableClock());
    const piece = Buffer.alloc(1024 * 1024, "x");
    const long = async function* () {
      for (let count = 0; count < 500; count++) yield piece;
    };
    let most = 0;
    const before = process.memoryUsage().rss;
    const note = () => (most = Math.max(most, process.memoryUsage().rss - before));
    const watch = async function* (source: AsyncIterable<Uint8Array>) {
      for await (const part of source) {
        note();
        yield part;
      }
    };
    expect((await store.put(box, "long", watch(long()), {}, call)).bytes).toBe(500 * piece.length);
    let bytes = 0;
    for await (const part of (await store.get(box, "long", call))?.content ?? []) {
      bytes += part.length;
      note();
    }
    expect(bytes).toBe(500 * piece.length);
    expect(most).toBeLessThan(150 * 1024 ** 2);
  });
});
