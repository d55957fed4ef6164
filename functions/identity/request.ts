import * as z from "zod";
import { badRequest } from "#core/error";
import type { Reference } from "#functions/identity/store";

// PostgreSQL's text cannot hold a NUL.
const text = z.string().min(1).max(255).regex(/^[^\0]*$/, "must not contain a NUL character");

const DomainOf = z.object({ id: text.optional(), name: text.optional() });
const Named = z.object({ id: text.optional(), name: text.optional(), domain: DomainOf.optional() });

const KNOWN_METHODS = ["password", "token"] as const;

const Identity = z
  .object({
    methods: z.array(z.string().max(64)).min(1).max(8),
    password: z.object({ user: Named.extend({ password: z.string().max(4096) }) }).optional(),
    token: z.object({ id: z.string().min(1) }).optional(),
  })
  .superRefine((identity, context) => {
    for (const method of KNOWN_METHODS) {
      if (identity.methods.includes(method) && !identity[method]) {
        context.addIssue({ code: "custom", path: [method], message: `is required because methods names "${method}"` });
      }
    }
  });

const Login = z.object({
  auth: z.object({
    identity: Identity,
    // `"unscoped"` and `{"unscoped": {}}` mean the same (Identity API v3, "Unscoped").
    scope: z
      .preprocess(
        (scope) => (scope === "unscoped" ? { unscoped: {} } : scope),
        z.object({
          project: Named.optional(),
          domain: DomainOf.optional(),
          system: z.record(z.string(), z.unknown()).optional(),
          unscoped: z.record(z.string(), z.unknown()).optional(),
        }),
      )
      .optional(),
  }),
});
export type Login = z.infer<typeof Login>["auth"];

/** The body of `POST /v3/auth/tokens`. Throws `badRequest` with the name of the field that is wrong. */
export function parseLogin(body: unknown): Login {
  const parsed = Login.safeParse(body);
  if (parsed.success) return parsed.data.auth;
  const [issue] = parsed.error.issues;
  const path = issue?.path.join(".");
  throw badRequest(`${path ? path : "The request body"}: ${issue?.message ?? "invalid"}`);
}

/** `field` is the path of the object, for the message. Throws `badRequest` when it names nothing. */
export function referenceOf(named: z.infer<typeof Named>, field: string): Reference {
  if (named.id !== undefined) return { id: named.id };
  if (named.name === undefined) throw badRequest(`${field}: id or name is required`);
  const { id, name } = named.domain ?? {};
  if (id !== undefined) return { name: named.name, domain: { id } };
  if (name !== undefined) return { name: named.name, domain: { name } };
  throw badRequest(`${field}.domain: id or name is required where ${field} is given by name`);
}
