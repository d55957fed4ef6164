import { expect, test } from "vitest";
import { keepToRules } from "#functions/api/access-rules";

const base = { kind: "user", userId: "u", projectId: "p", roles: ["member"], isAdmin: false } as const;
const allowed = (path: string, asked: string, { service = "database", method = "GET" } = {}) => {
  try {
    keepToRules({ ...base, accessRules: [{ service, method, path }] }, new Request(`http://x${asked}`));
    return true;
  } catch {
    return false;
  }
};

test("a path fits its pattern as a whole: * and {name} are one segment, ** is any", () => {
  const cases: [pattern: string, path: string, fits: boolean][] = [
    ["/v1.0/*/instances", "/v1.0/p/instances", true],
    ["/v1.0/*/instances", "/v1.0/p/instances?limit=1", true],
    ["/v1.0/*/instances", "/v1.0/p/instances/i", false],
    ["/v1.0/*/instances", "/v1.0/p/q/instances", false],
    ["/v1.0/*/instances", "/v1.0//instances", false],
    ["/v1.0/{project_id}/instances/{id}", "/v1.0/p/instances/i", true],
    ["/v1.0/{project_id}/instances/{id}", "/v1.0/p/instances/i/users", false],
    ["/v1.0/**", "/v1.0/p/instances/i/users", true],
    ["/v1.0/**/users", "/v1.0/p/instances/i/users", true],
    ["/v1.0/**/users", "/v1.0/p/instances/i/databases", false],
    ["/v1.0/p/instances", "/v1.0/p/instances", true],
    ["/v1.0/p/instances", "/v1x0/p/instances", false],
    ["/v1.0/p/(instances|users)+", "/v1.0/p/instances", false],
    ["**", "/anything/at/all", true],
    ["*", "/x", false],
    ["", "/", false],
  ];
  expect(cases.map(([pattern, path]) => [pattern, path, allowed(pattern, path)])).toEqual(cases);
});

test("method and service must be those of the rule; no rules allow nothing, and no list everything", () => {
  expect(allowed("/**", "/v1.0/p", { method: "POST" })).toBe(false);
  expect(allowed("/**", "/v1.0/p", { service: "compute" })).toBe(false);
  const refusal = () => keepToRules({ ...base, accessRules: [] }, new Request("http://x/v1.0/p/instances"));
  expect(refusal).toThrow("The application credential's access rules do not allow GET /v1.0/p/instances.");
  expect(() => keepToRules(base, new Request("http://x/v1.0/p/instances"))).not.toThrow();
});

test("a pattern made to be slow is judged all the same", () => {
  expect(allowed(`${"**a".repeat(40)}b`, `/${"a".repeat(4000)}`)).toBe(false);
});
