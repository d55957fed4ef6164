import type { z } from "zod";
import { badRequest } from "#core/error";

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/** Parses a body, or throws 400 in Trove's words (contract §4.4): one clause per problem, joined by `; `. */
export function parse<S extends z.ZodType>(schema: S, body: unknown): z.output<S> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const clauses = parsed.error.issues.flatMap((issue) => clausesOf(issue, [], body));
  throw badRequest(`Validation error: ${clauses.join("; ")}`, { reason: "body.invalid" });
}

function clausesOf(issue: Issue, base: Path, body: unknown): string[] {
  const path = [...base, ...issue.path];
  if (issue.code === "invalid_union") {
    const head = clause(path, `${show(path, valueAt(body, path))} is not valid under any of the given schemas`);
    return [head, ...issue.errors.flat().flatMap((one) => clausesOf(one, path, body))];
  }
  if (valueAt(body, path) === undefined && path.length > 0) {
    return [clause(path.slice(0, -1), `'${String(path.at(-1))}' is a required property`)];
  }
  return [clause(path, reason(issue, show(path, valueAt(body, path))))];
}

/** `instance['nics'][0]['net-id'] reason`; a problem at the root has no path. */
function clause([head, ...tail]: Path, text: string): string {
  if (head === undefined) return text;
  const rest = tail.map((part) => (typeof part === "number" ? `[${part}]` : `['${String(part)}']`)).join("");
  return `${String(head)}${rest} ${text}`;
}

/** JSON Schema's names for what zod expects. */
const typeNames: Record<string, string> = { int: "integer", record: "object", safeint: "integer" };

function reason(issue: Issue, value: string): string {
  switch (issue.code) {
    case "invalid_type":
      return `${value} is not of type '${typeNames[issue.expected] ?? issue.expected}'`;
    case "too_small":
      if (issue.origin === "string" || issue.origin === "array") return `${value} is too short`;
      return `${value} is less than the minimum of ${String(issue.minimum)}`;
    case "too_big":
      if (issue.origin === "string" || issue.origin === "array") return `${value} is too long`;
      return `${value} is greater than the maximum of ${String(issue.maximum)}`;
    case "invalid_format":
      return issue.format === "regex" ? `${value} does not match '${(issue.pattern ?? "").replace(/^\/|\/\w*$/g, "")}'` : `${value} is not a '${issue.format}'`;
    case "invalid_value":
      return `${value} is not one of [${issue.values.map((one) => `'${String(one)}'`).join(", ")}]`;
    case "unrecognized_keys":
      return `Additional properties are not allowed (${issue.keys.map((key) => `'${key}'`).join(", ")} ${issue.keys.length > 1 ? "were" : "was"} unexpected)`;
    case "invalid_union":
    case "invalid_key":
    case "invalid_element":
    case "not_multiple_of":
    case "custom":
      return `${value} ${issue.message}`;
  }
}

/** Longest piece of a value that an error repeats. */
const SHOWN = 100;

/** A value as Python would write it, short; secrets are not repeated. */
function show(path: Path, value: unknown): string {
  if (path.some((part) => part === "password" || part === "contents")) return "the value";
  if (typeof value === "string") return `'${value.length > SHOWN ? `${value.slice(0, SHOWN)}...` : value}'`;
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number") return String(value);
  if (value === null) return "None";
  if (value === undefined) return "nothing";
  return Array.isArray(value) ? "the list" : "the object";
}

function valueAt(body: unknown, path: Path): unknown {
  let value = body;
  for (const part of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[part];
  }
  return value;
}
