import { expect, test } from "vitest";
import { Window } from "#core/guest/agent/window";

const MB = 1024n * 1024n;
const SEGMENT = 16n * MB;
const at = (second: number) => new Date(Date.UTC(2030, 0, 1, 0, 0, second)).toISOString();
/** What a server of one timeline says at a second. */
const seen = (second: number, lsn: bigint, quiet?: string, timeline = 1) => ({ systemIdentifier: "7", timeline, at: at(second), lsn, quiet });
const piece = (number: bigint, timeline = 1) => ({ timeline, from: number * SEGMENT, to: (number + 1n) * SEGMENT });

test("the window begins with the first look that is stored whole, and ends with the last", () => {
  const window = new Window(null);
  window.observe(seen(0, 17n * MB));
  window.observe(seen(10, 20n * MB));
  expect(window.kept?.latest).toBeUndefined();
  window.observe(seen(20, 33n * MB));
  window.stored(piece(1n));
  expect(window.kept).toMatchObject({ earliest: at(0), latest: at(10), gaps: [] });
  window.stored(piece(2n));
  expect(window.kept).toMatchObject({ earliest: at(0), latest: at(20) });
});

test("while no transaction has begun the window ends with the last look, whatever was written", () => {
  const window = new Window(null);
  window.observe(seen(0, 17n * MB, "100"));
  window.stored(piece(1n));
  window.observe(seen(10, 40n * MB, "100"));
  expect(window.kept?.latest).toBe(at(10));
  window.observe(seen(20, 41n * MB, "101"));
  expect(window.kept?.latest).toBe(at(10));
  window.observe(seen(30, 42n * MB));
  expect(window.kept?.latest).toBe(at(10));
});

test("a piece that is missing is a gap from the last second before it to the first behind it", () => {
  const window = new Window(null);
  window.observe(seen(0, 17n * MB));
  window.stored(piece(1n));
  window.observe(seen(10, 40n * MB));
  window.stored(piece(4n));
  expect(window.kept).toMatchObject({ gapFrom: at(0) });
  expect(window.kept?.latest).toBeUndefined();
  window.observe(seen(60, 70n * MB));
  expect(window.kept).toMatchObject({ gaps: [{ from: at(0), to: at(60) }], earliest: at(60), latest: at(60) });
  expect(window.kept?.gapFrom).toBeUndefined();
});

test("a piece that is stored again, or is of another timeline, changes nothing; another server begins anew", () => {
  const window = new Window(null);
  window.observe(seen(0, 17n * MB));
  window.stored(piece(1n));
  window.stored(piece(2n));
  const before = { ...window.kept };
  window.stored(piece(1n));
  window.stored(piece(9n, 2));
  expect(window.kept).toEqual(before);
  window.observe(seen(5, 50n * MB, undefined, 2));
  expect(window.kept).toEqual({ systemIdentifier: "7", timeline: 2, gaps: [] });
});

test("what was kept goes on where it was", () => {
  const window = new Window(null);
  window.observe(seen(0, 17n * MB));
  window.stored(piece(1n));
  const next = new Window({ ...window.kept! });
  next.observe(seen(100, 33n * MB));
  next.stored(piece(2n));
  expect(next.kept).toMatchObject({ earliest: at(0), latest: at(100), gaps: [] });
});
