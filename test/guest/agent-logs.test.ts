import { createHash } from "node:crypto";
import { appendFile, open, rename, truncate, copyFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { LogFile } from "#core/engine/engine";
import { JsonFile } from "#core/guest/agent/file";
import { masked } from "#core/guest/agent/logpiece";
import { Logs, LogsFile, type LogsKept } from "#core/guest/agent/logs";
import { setSink } from "#core/log";
import { LOG_CHUNK_BYTES, LOG_UPLOAD_BYTES, LogObject } from "#core/guest/protocol";
import { scratch } from "#test/guest/agent-rig";

interface Sent {
  object: string;
  bytes: Buffer;
}

/** A log file, and a control plane that keeps what it is sent by name, as an object store does. */
async function rig({ keep }: { keep: (sent: Sent) => unknown }) {
  const directory = await scratch();
  const previous = setSink(() => {});
  onTestFinished(() => void setSink(previous));
  const file: LogFile = { name: "general", type: "USER", path: join(directory, "a.log"), previous: join(directory, "a.log.1") };
  const objects = new Map<string, unknown>();
  const order: string[] = [];
  const requests: string[] = [];
  let fails: (path: string) => boolean = () => false;
  const link = {
    async signed({ path, bytes }: { path: string; bytes?: Uint8Array }) {
      requests.push(path);
      const object = path.split("/").at(-1) ?? "";
      if (fails(path)) throw new Error("the line was cut");
      if (object === "discard") objects.clear();
      else {
        LogObject.parse(object);
        const sent = { object, bytes: Buffer.from(bytes ?? []) };
        if (object !== "metafile" && !objects.has(object)) order.push(object);
        objects.set(object, keep(sent));
      }
      return {} as never;
    },
  };
  const clock = { now: () => new Date(), sleep: async () => {} };
  const make = async () =>
    new Logs({ files: () => [file], enabled: () => ["general"], noted: await JsonFile.open<LogsKept>(join(directory, "logs.json"), LogsFile, {}), link, clock, signal: new AbortController().signal });
  return {
    file,
    logs: await make(),
    /** The next agent on this machine. */
    make,
    objects,
    order,
    requests,
    fail: (when: typeof fails) => (fails = when),
    line: (text: string) => appendFile(file.path, `${new Date().toISOString()} ${text}\n`),
    /** As the engine begins its log anew. */
    turn: async () => {
      await copyFile(file.path, file.previous);
      await truncate(file.path, 0);
    },
  };
}

/** With contents kept. */
const whole = async () => {
  const made = await rig({ keep: ({ bytes }) => bytes.toString() });
  const text = () => made.order.map((name) => made.objects.get(name) as string | undefined).join("");
  const words = () => [...text().matchAll(/ (\S+)\n/g)].map(([, word]) => word);
  return { ...made, text, words };
};

describe("a log is published", () => {
  test("once: only what is new, and the metafile says how far", async () => {
    const { logs, line, words, objects, order } = await whole();
    expect(await logs.show("general")).toEqual({ name: "general", type: "USER", enabled: true, published: 0, pending: 0, rotated: false });
    await line("one");
    await logs.publish("general", "j");
    expect((await logs.show("general")).pending).toBe(0);
    await line("two");
    await line("three");
    expect(await logs.show("general")).toMatchObject({ pending: 60, rotated: false });
    await logs.publish("general", "j");
    await logs.publish("general", "j");
    expect([words(), order.length]).toEqual([["one", "two", "three"], 2]);
    expect(JSON.parse(objects.get("metafile") as string)).toMatchObject({ log: "general", published: (await logs.show("general")).published });
  });

  test("again after a discard, whole", async () => {
    const { logs, line, words, objects } = await whole();
    await line("one");
    await logs.publish("general", "j");
    await logs.discard("general", "j");
    expect([objects.size, await logs.show("general")]).toEqual([0, expect.objectContaining({ published: 0, pending: 29 })]);
    await logs.publish("general", "j");
    expect(words().filter(Boolean)).toContain("one");
  });

  test("across a new beginning, with nothing missing and nothing twice", async () => {
    const { logs, line, words, turn } = await whole();
    await line("one");
    await logs.publish("general", "j");
    await line("two");
    await turn();
    expect(await logs.show("general")).toMatchObject({ rotated: true, pending: 29 });
    await line("three");
    await logs.publish("general", "j");
    expect([words(), await logs.show("general")]).toEqual([["one", "two", "three"], expect.objectContaining({ rotated: false, pending: 0 })]);
    await turn();
    await line("four");
    await turn();
    await line("five");
    await logs.publish("general", "j");
    expect(words()).toEqual(["one", "two", "three", "four", "five"]);
  });

  test("also when the file was moved away instead", async () => {
    const { logs, line, words, file } = await whole();
    await line("one");
    await logs.publish("general", "j");
    await line("two");
    await rename(file.path, file.previous);
    await logs.publish("general", "j");
    await line("three");
    await logs.publish("general", "j");
    expect(words()).toEqual(["one", "two", "three"]);
  });

  test("to the end by the next agent, when one was ended at any point of it", async () => {
    for (const point of [1, 2, 3, 4]) {
      const { logs, make, words, fail, line, file } = await whole();
      for (let count = 0; count < 3; count++) await line(`${count}${"x".repeat(LOG_CHUNK_BYTES - 100)}`);
      let requests = 0;
      fail(() => ++requests >= point);
      await expect(logs.publish("general", "j")).rejects.toMatchObject({ reason: "log.upload" });
      fail(() => false);
      const next = await make();
      await next.publish("general", "j");
      expect(words().map((word) => word?.[0])).toEqual(["0", "1", "2"]);
      expect((await next.show("general")).published).toBe((await open(file.path).then(async (one) => (await one.stat().finally(() => one.close())).size)));
    }
  });

  test("once, when the answer to a piece was lost and the agent ended before it wrote that down", async () => {
    const { logs, make, words, fail, line, objects } = await whole();
    await line("one");
    const store = objects.set.bind(objects);
    objects.set = (name, value) => {
      store(name, value);
      if (name !== "metafile") throw new Error("the answer was lost");
      return objects;
    };
    await expect(logs.publish("general", "j")).rejects.toMatchObject({ reason: "log.upload" });
    objects.set = store;
    fail(() => false);
    await line("two");
    await (await make()).publish("general", "j");
    expect(words()).toEqual(["one", "two"]);
  });

  test("in pieces that end with a record, and never inside of a character", async () => {
    const { logs, order, objects, text, file } = await whole();
    const record = `2026-01-01 LOG:  statement: select\n\tü${"ö".repeat(150_000)}\n\tfrom t\n`;
    const giant = `2026-01-01 LOG:  ${"€".repeat(LOG_UPLOAD_BYTES)}\n`;
    await writeFile(file.path, record.repeat(9) + giant + "2026-01-01 half of a");
    await logs.publish("general", "j");
    const pieces = order.map((name) => objects.get(name) as string);
    expect(pieces.slice(0, 3).map((piece) => piece.length % record.length)).toEqual([0, 0, 0]);
    expect(Math.max(...pieces.map((piece) => Buffer.byteLength(piece)))).toBeLessThanOrEqual(LOG_UPLOAD_BYTES);
    expect(pieces.some((piece) => piece.includes("\ufffd"))).toBe(false);
    expect(text() === record.repeat(9) + giant).toBe(true);
    expect((await logs.show("general")).pending).toBe(20);
  });

  test("of which there is none is refused; one without a file has nothing", async () => {
    const { logs, requests } = await whole();
    await expect(logs.publish("slow", "j")).rejects.toMatchObject({ code: "badRequest", reason: "log.unknown" });
    await expect(logs.discard("slow", "j")).rejects.toMatchObject({ reason: "log.unknown" });
    await logs.publish("general", "j");
    expect(requests).toEqual(["/logs/j/metafile"]);
  });

  test("of 1 GB in flat memory, byte for byte, and while it goes on growing", async () => {
    const piece = Buffer.from("2026-01-01 00:00:00.000 UTC [1] ann@app LOG:  statement: select 'some statement of an application'\n".repeat(10_000));
    const count = Math.ceil(1024 ** 3 / piece.length);
    const hash = createHash("md5");
    const last = { object: "" };
    let bytes = 0;
    let most = 0;
    const before = process.memoryUsage().rss;
    const { logs, file } = await rig({
      keep: ({ object, bytes: sent }) => {
        if (object === "metafile") return undefined;
        expect(object > last.object).toBe(true);
        last.object = object;
        hash.update(sent);
        bytes += sent.length;
        most = Math.max(most, process.memoryUsage().rss - before);
        return undefined;
      },
    });
    const expected = createHash("md5");
    const written = await open(file.path, "a");
    for (let at = 0; at < count; at++) {
      await written.write(piece);
      expected.update(piece);
    }
    await written.close();
    await logs.publish("general", "j");
    expect([bytes, hash.digest("hex"), await logs.show("general")]).toEqual([count * piece.length, expected.digest("hex"), expect.objectContaining({ published: bytes, pending: 0 })]);
    expect(most).toBeLessThan(200 * 1024 ** 2);
  }, 120_000);
});

test.each<[string, string]>([
  ["alter role a password 'x''y' valid until 'z'", "alter role a password '*''*' valid until 'z'"],
  ["CREATE USER a WITH ENCRYPTED PASSWORD E'x\\'y'", "CREATE USER a WITH ENCRYPTED PASSWORD *'**'*'"],
  ["create role a password 'back\\' login", "create role a password '*****' login"],
  ["create role a password\n\t$tag$se'cret$tag$ x", "create role a password\n\t*******'********* x"],
  ["create role a password U&'\\0061b'", "create role a password **'******'"],
  ["create role ä password 'ß'", "create role ä password '**'"],
  ["select 'password'", "select 'password'"],
  ["alter role a password null", "alter role a password null"],
])("%j is published as %j", (statement, shown) => {
  expect(masked(Buffer.from(statement)).toString()).toBe(shown);
  expect(masked(Buffer.from(statement)).length).toBe(Buffer.byteLength(statement));
});
