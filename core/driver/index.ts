/** The only file that imports implementations of the drivers. */
export { createFakeCloud } from "#core/driver/fake/index";
export type { FakeCloud } from "#core/driver/fake/index";
export { createFakeObjects } from "#core/driver/fake/objects";
export type { FakeObjects } from "#core/driver/fake/objects";
export { createLocalObjects } from "#core/driver/local/objects";
export type { LocalObjects } from "#core/driver/local/objects";
export { createLocalCloud } from "#core/driver/local/index";
export type { Blanks, Onto } from "#core/driver/local/blanks";
export type { IsolationLevel, LocalCloud, LocalOptions } from "#core/driver/local/index";
export { pickRoot, publishEngine, reachable } from "#core/driver/local/place";
export { mappedUids, uidRange } from "#core/driver/local/users";
