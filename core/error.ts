/**
 * The one error class that crosses rooms. Domain code names a code; only
 * `functions/api/errors.ts` knows which HTTP status a code has.
 */
export type Code =
  | "badRequest"
  | "unauthorized"
  | "forbidden"
  | "itemNotFound"
  | "conflict"
  | "overLimit"
  | "badMediaType"
  | "unprocessableEntity"
  | "notImplemented"
  | "serviceUnavailable"
  | "instanceFault";

export interface Detail {
  /** Stable machine-readable reason, e.g. `driver.timeout`. Shown in timelines and faults. */
  reason?: string;
  /** What the reader can do next; one sentence. */
  next?: string;
  /** A terminal error is never retried by a workflow. */
  final?: boolean;
  cause?: unknown;
}

/** `message` is public; what must stay private travels in `cause`. */
export class AppError extends Error {
  readonly code: Code;
  readonly reason: string;
  readonly next: string | undefined;
  readonly final: boolean;

  constructor(code: Code, message: string, detail: Detail = {}) {
    super(message, { cause: detail.cause });
    this.name = "AppError";
    this.code = code;
    this.reason = detail.reason ?? code;
    this.next = detail.next;
    this.final = detail.final ?? false;
  }
}

export const badRequest = (message: string, detail?: Detail) => new AppError("badRequest", message, detail);
export const notFound = (message: string, detail?: Detail) => new AppError("itemNotFound", message, detail);
export const unprocessable = (message: string, detail?: Detail) => new AppError("unprocessableEntity", message, detail);

/** The text of anything thrown, without the SQL parameters that drizzle puts into its messages. */
export function describe(error: unknown): string {
  if (error instanceof AppError) return error.message;
  if (error instanceof Error) {
    // drizzle's own message quotes every bound parameter; the driver's error underneath does not.
    if (error.name === "DrizzleQueryError" || error.message.startsWith("Failed query:")) {
      return error.cause instanceof Error ? error.cause.message : "database query failed";
    }
    return error.message;
  }
  return String(error);
}

/** What the system says of an error of a file, a process or a socket: `ENOENT`, `EPERM` … */
export const codeOf = (error: unknown) => (error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined);
