import postgres from "postgres";
import { AppError, codeOf, type Code, type Detail } from "#core/error";

/** What PostgreSQL's error codes mean to a user; by code, else by the class in its first two characters. */
const meanings: Record<string, { code: Code; next?: string }> = {
  "22": { code: "badRequest" },
  "42": { code: "badRequest" },
  "0A": { code: "badRequest" },
  "3D000": { code: "itemNotFound" },
  "42704": { code: "itemNotFound" },
  "42P04": { code: "conflict" },
  "42710": { code: "conflict" },
  "2BP01": { code: "conflict" },
  "55006": { code: "conflict", next: "End the sessions that use it, and try again." },
  "55P03": { code: "conflict", next: "Another session has locked what the job must change; end it, and try again." },
  "53100": { code: "overLimit", next: "The volume is full; resize it." },
  "53": { code: "serviceUnavailable", next: "Try again." },
  "57": { code: "serviceUnavailable", next: "Try again." },
  "08": { code: "serviceUnavailable", next: "Try again." },
};

/** The driver's own codes, and those of the system, for a connection that is not made or breaks. */
const broken = /^(CONNECTION_|CONNECT_TIMEOUT|ECONN|EPIPE|ENOENT|EACCES|ETIMEDOUT)/;

/** An AppError for what the server or the way to it did not allow; anything else as it is. PostgreSQL's messages name objects, never values of parameters. */
export function explained(error: unknown): unknown {
  if (error instanceof postgres.PostgresError) {
    const meaning = meanings[error.code] ?? meanings[error.code.slice(0, 2)];
    return wrap(meaning?.code ?? "instanceFault", error.message, { reason: `postgresql.${error.code}`, cause: error, ...(meaning?.next && { next: meaning.next }) });
  }
  if (!(error instanceof Error) || error instanceof AppError || !broken.test(codeOf(error) ?? "")) return error;
  return wrap("serviceUnavailable", "The database server does not answer", { reason: "engine.connection", cause: error, next: "Try again." });
}

const wrap = (code: Code, message: string, detail: Detail) => new AppError(code, /[.!?]$/.test(message) ? message : `${message[0]?.toUpperCase()}${message.slice(1)}.`, detail);
