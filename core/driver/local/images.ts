import { execFile } from "node:child_process";
import { readdirSync, readFileSync, realpathSync } from "node:fs";
import { chmod, mkdir, open, rename, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Clock } from "#core/clock";
import { exists, unless } from "#core/driver/local/files";
import { until } from "#core/driver/local/processes";
import { AppError, describe } from "#core/error";

/*
 * Volumes with a true size: an ext4 file system in a sparse file, mounted by a loop device that the kernel gives up with the
 * mount. It grows only while it is not mounted: growing a mounted one needs CAP_SYS_RESOURCE, which containers seldom have, and Trove
 * stops the database for it as well.
 */

const run = promisify(execFile);
const environment = { LC_ALL: "C", PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" };

const GB = 1024 ** 3;
/** What the kernel may need to let go of a file system whose last process has ended, ms. */
const RELEASE_MS = 2_000;
/** Where it goes by force if it must, less patience does. */
const FORCE_MS = 500;

/** Nothing on a volume is a program or a device. The file is sparse and reads as zeros, so no table need be zeroed. */
const mountOptions = "loop,nodev,nosuid,noexec,noatime,noinit_itable";

async function program(name: string, args: string[], accepted: number[] = []): Promise<void> {
  try {
    await run(name, args, { env: environment });
  } catch (cause) {
    const { code, stderr } = cause as { code?: unknown; stderr?: string };
    if (typeof code === "number" && accepted.includes(code)) return;
    throw new AppError("serviceUnavailable", `${name} failed: ${stderr?.trim() || describe(cause)}`, { reason: `driver.${name}`, cause });
  }
}

/** Makes the file, complete or not at all. */
export async function format(image: string, sizeGb: number): Promise<void> {
  const draft = `${image}.new`;
  await rm(draft, { force: true });
  await writeFile(draft, "", { mode: 0o600 });
  await truncate(draft, sizeGb * GB);
  // One percent for root: the agent's own files find room when the engine finds none.
  await program("mkfs.ext4", ["-q", "-F", "-m", "1", "-J", "size=16", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", draft]);
  await rename(draft, image);
}

/** Bytes of the file system in the file, by its superblock; what a crash left between two steps of a growth is told apart by it. */
async function formattedBytes(image: string): Promise<number> {
  const file = await open(image, "r");
  try {
    const { buffer } = await file.read(Buffer.alloc(1024), 0, 1024, 1024);
    const blocks = buffer.readUInt32LE(0x4) + buffer.readUInt32LE(0x150) * 2 ** 32;
    return blocks * (1024 << buffer.readUInt32LE(0x18));
  } finally {
    await file.close();
  }
}

export const isGrown = async (image: string, sizeGb: number) => (await formattedBytes(image)) >= sizeGb * GB;

/** Grows the file system in a file that is not mounted. May be repeated after a crash in its middle. */
export async function grow(image: string, sizeGb: number): Promise<void> {
  if (await isGrown(image, sizeGb)) return;
  if (isAttached(image)) throw busy(image);
  if ((await stat(image)).size < sizeGb * GB) await truncate(image, sizeGb * GB);
  // 1: there was something to mend, and it is mended.
  await program("e2fsck", ["-f", "-p", image], [1]);
  await program("resize2fs", [image]);
}

/** Mounted already = success. */
export async function mount(image: string, directory: string): Promise<void> {
  if (isMounted(directory)) return;
  await program("mount", ["-t", "ext4", "-o", mountOptions, image, directory]);
}

/**
 * Not mounted = success. What stays in use is, with `detach`, taken out of sight and let go by the kernel with the
 * last process that is in there; else AppError `volume.busy`.
 */
export async function unmount(directory: string, clock: Clock, { detach = false } = {}): Promise<void> {
  let refusal: unknown;
  const started = clock.now().getTime();
  while (isMounted(directory)) {
    try {
      await program("umount", [directory]);
    } catch (error) {
      refusal = error;
      if (clock.now().getTime() - started < (detach ? FORCE_MS : RELEASE_MS)) await clock.sleep(50);
      else if (detach) await program("umount", ["-l", directory]);
      else throw busy(directory, refusal);
    }
  }
}

/** Waits until no loop device has the file any more; false when one still has it. */
export const released = (image: string, clock: Clock) => until(() => !isAttached(image), RELEASE_MS, clock);

const busy = (path: string, cause?: unknown) =>
  new AppError("conflict", `Another process works in the file system at ${path}.`, { reason: "volume.busy", next: "End it, and try again.", ...(cause !== undefined && { cause }) });

/** The kernel writes blanks and the like as octal numbers. */
const unescape = (text: string) => text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)));

/** As the kernel names it: without symbolic links. */
function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    unless(error, "ENOENT");
    return path;
  }
}

/** Whether something is mounted at exactly this directory. */
export function isMounted(directory: string): boolean {
  // As bytes: the kernel knows no characters.
  const wanted = Buffer.from(resolved(directory)).toString("latin1");
  return readFileSync("/proc/self/mountinfo", "latin1").split("\n").some((line) => unescape(line.split(" ")[4] ?? "") === wanted);
}

/** Whether a loop device has this file, in whatever mount namespace. */
function isAttached(image: string): boolean {
  const wanted = resolved(image);
  return readdirSync("/sys/block")
    .filter((name) => name.startsWith("loop"))
    .some((name) => {
      try {
        return readFileSync(join("/sys/block", name, "loop", "backing_file"), "utf8").trimEnd() === wanted;
      } catch (error) {
        unless(error, "ENOENT", "ENXIO");
        return false;
      }
    });
}

/**
 * Whether this machine lets us have images below `root`, found out by doing all that will be done: making, mounting, writing,
 * unmounting, growing, mounting again. Returns why not.
 */
export async function probe(root: string, clock: Clock): Promise<string | undefined> {
  const place = join(root, ".image-probe");
  const [image, directory] = [join(place, "image"), join(place, "data")];
  const clean = async () => {
    if (!(await exists(place))) return;
    await unmount(directory, clock, { detach: true });
    await rm(place, { recursive: true, force: true });
  };
  try {
    // What a start that was killed in its middle left.
    await clean();
    await mkdir(directory, { recursive: true });
    await format(image, 1 / 8);
    for (const sizeGb of [1 / 8, 1 / 4]) {
      await grow(image, sizeGb);
      await mount(image, directory);
      await chmod(directory, 0o700);
      await writeFile(join(directory, "file"), "written");
      await unmount(directory, clock);
      if (!(await released(image, clock))) return "a loop device is not given up";
    }
    return undefined;
  } catch (error) {
    return describe(error);
  } finally {
    await clean();
  }
}
