import { createHash } from "node:crypto";
import type { Clock } from "#core/clock";
import type { Container, ObjectInfo, ObjectStore } from "#core/driver/objectstore";

const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

export interface FakeObjects extends ObjectStore {
  /** Another store with the same objects, which goes its own way from here. */
  copy(clock: Clock): FakeObjects;
}

type Containers = Map<string, Map<string, { info: ObjectInfo; bytes: Buffer }>>;

/** An object store in memory. */
export const createFakeObjects = (clock: Clock): FakeObjects => storeOf(clock, new Map(), 0);

function storeOf(clock: Clock, containers: Containers, lastUs: number): FakeObjects {
  const keyOf = ({ projectId, name }: Container) => JSON.stringify([projectId, name]);
  const find = (at: Container, name: string) => {
    const found = containers.get(keyOf(at))?.get(name);
    return found?.info.expiresAt && found.info.expiresAt <= clock.now() ? undefined : found;
  };
  return {
    async put(at, name, content, { contentType = "application/octet-stream", meta = {}, expiresAt }) {
      const parts: Uint8Array[] = [];
      for await (const part of content) parts.push(Buffer.from(part));
      const bytes = Buffer.concat(parts);
      lastUs = Math.max(lastUs + 1, clock.now().getTime() * 1000);
      const etag = createHash("md5").update(bytes).digest("hex");
      const info: ObjectInfo = { name, bytes: bytes.length, etag, contentType, modifiedUs: lastUs, meta, ...(expiresAt && { expiresAt }) };
      const container = containers.get(keyOf(at)) ?? new Map<string, { info: ObjectInfo; bytes: Buffer }>();
      containers.set(keyOf(at), container.set(name, { info, bytes }));
      return info;
    },
    head: async (at, name) => find(at, name)?.info,
    async get(at, name, _, range) {
      const found = find(at, name);
      if (!found) return undefined;
      const bytes = range ? found.bytes.subarray(range.from, range.to + 1) : found.bytes;
      return { info: found.info, content: (async function* () { yield new Uint8Array(bytes); })() };
    },
    async list(at, { prefix = "", after, limit }) {
      const container = containers.get(keyOf(at));
      if (!container) return undefined;
      return [...container.keys()]
        .filter((name) => name.startsWith(prefix) && (after === undefined || byBytes(name, after) > 0))
        .sort(byBytes)
        .flatMap((name) => find(at, name)?.info ?? [])
        .slice(0, limit);
    },
    async remove(at, name) {
      containers.get(keyOf(at))?.delete(name);
    },
    // What was put is never changed.
    copy: (other) => storeOf(other, new Map([...containers].map(([key, objects]) => [key, new Map(objects)])), lastUs),
  };
}
