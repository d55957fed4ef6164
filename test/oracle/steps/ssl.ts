import { bodies, everyone, type Step } from "#test/oracle/step";

const unknown = "11111111-2222-4333-8444-555555555555";
const at = "/instances/{one}/ssl";
const container_ref = "http://127.0.0.1:1/v1/secrets/11111111-2222-4333-8444-555555555555";

/**
 * SSL (contract §5.6) without a key manager, which the reference's clouds have none of: what is shown, refused, disabled
 * and rolled back.
 */
export const ssl: Step[] = [
  ...everyone(["member", "reader", "admin", "other", "nobody", "expired"], [`GET ${at}`, `GET /instances/${unknown}/ssl`]),
  ...everyone(["member"], [`GET ${at}?include_certificate=True`, `GET ${at}.json`, "GET /instances/nothing/ssl", `DELETE ${at}`, `PUT ${at}`]),
  ...bodies("member", `POST ${at}`, [
    {}, { ssl: null }, { ssl: [] }, { ssl: 1 },
    { ssl: { enable: true } }, { ssl: { enable: true, container_ref: "" } }, { ssl: { enable: true, mode: "enforced" } },
    { ssl: { enable: true, disable: true, container_ref } }, { ssl: { disable: true, rollback: true } }, { ssl: { enable: true, rollback: true, container_ref } },
    { ssl: { enable: true, mode: "nothing", container_ref } }, { ssl: { enable: true, mode: "builtin", container_ref } }, { ssl: { disable: true, mode: "nothing" } },
    { ssl: { disable: true } }, { ssl: { disable: true, mode: "mtls" } }, { ssl: { rollback: true } }, { ssl: {} }, { ssl: { disable: false } },
  ]),
  ["other", `POST ${at}`, { ssl: { disable: true } }],
  ["reader", `POST ${at}`, { ssl: { disable: true } }],
  ["nobody", `POST ${at}`, { ssl: { disable: true } }],
  ["member", `POST /instances/${unknown}/ssl`, { ssl: { disable: true } }],
  ["admin", `POST ${at}`, { ssl: { rollback: true } }],
  ["member", `GET ${at}`],
];
