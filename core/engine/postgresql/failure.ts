import postgres from "postgres";
import { AppError, type Code, type Detail } from "#core/error";

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

/** An AppError for whatever a job's SQL ended with. PostgreSQL's messages name objects, never values of parameters. */
export function explained(error: unknown): unknown {
  if (error instanceof AppError || !(error instanceof Error)) return error;
  if (error instanceof postgres.PostgresError) {
    const meaning = meanings[error.code] ?? meanings[error.code.slice(0, 2)];
    return wrap(meaning?.code ?? "instanceFault", error.message, { reason: `postgresql.${error.code}`, cause: error, ...(meaning?.next && { next: meaning.next }) });
  }
  return wrap("serviceUnavailable", "The database server does not answer", { reason: "engine.connection", cause: error, next: "Try again." });
}

const wrap = (code: Code, message: string, detail: Detail) => new AppError(code, /[.!?]$/.test(message) ? message : `${message[0]?.toUpperCase()}${message.slice(1)}.`, detail);
