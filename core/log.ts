import { fields } from "#core/context";

/**
 * One JSON line per event: a constant message plus fields. Request, operation and instance
 * come from the context. Callers never pass whole requests, bodies, tokens or SQL parameters.
 */
export type Fields = Record<string, string | number | boolean | null | undefined>;
export type Level = "debug" | "info" | "warn" | "error";
export type Sink = (line: { time: string; level: Level; message: string } & Record<string, unknown>) => void;

const jsonSink: Sink = (line) => process.stderr.write(`${JSON.stringify(line)}\n`);
let sink: Sink = jsonSink;

/** Where lines go; a terminal gets readable ones, tests collect them. Returns the previous sink. */
export function setSink(next: Sink): Sink {
  const previous = sink;
  sink = next;
  return previous;
}

function write(level: Level, message: string, extra: Fields = {}) {
  sink({ time: new Date().toISOString(), level, message, ...fields(), ...extra });
}

export const log = {
  debug: (message: string, extra?: Fields) => write("debug", message, extra),
  info: (message: string, extra?: Fields) => write("info", message, extra),
  warn: (message: string, extra?: Fields) => write("warn", message, extra),
  error: (message: string, extra?: Fields) => write("error", message, extra),
};

/** For a terminal: time, level when it matters, message, then key=value. */
export const terminalSink: Sink = ({ time, level, message, ...extra }) => {
  const tail = Object.entries(extra)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(" ");
  const mark = level === "info" || level === "debug" ? "" : `${level.toUpperCase()} `;
  process.stderr.write(`${time.slice(11, 23)} ${mark}${message}${tail ? `  ${tail}` : ""}\n`);
};
