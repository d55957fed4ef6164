import { bodies, everyone, type Step } from "#test/oracle/step";

const unknown = "11111111-2222-4333-8444-555555555555";
const at = "/instances/{one}/log";

/** Guest logs (contract §5.5). What a guest makes of a log is not compared: the reference's is a fake, with a log that nobody writes. */
export const logs: Step[] = [
  ...everyone(["member", "reader", "other", "nobody", "expired"], [`GET ${at}`, `GET /instances/${unknown}/log`, "GET /instances/nothing/log"], { shape: true }),
  ...everyone(["member"], [`GET ${at}.json`, `DELETE ${at}`, `PUT ${at}`]),
  ...bodies("member", `POST ${at}`, [
    {}, { name: "" }, { name: null }, { name: 1 }, { name: ["general"] }, { log: { name: "general" } },
    { name: "general", enable: 2 }, { name: "general", enable: "yes" }, { name: "general", discard: [] }, { name: "general", disable: "maybe" },
    { name: "general", enable: 1, disable: 1 }, { name: "general", enable: true, disable: true, publish: true },
    { name: "nothing" }, { name: "nothing", enable: 1 },
  ]),
  ...bodies("member", `POST ${at}`, [
    { name: "general" }, { name: "general", extra: 1 }, { name: "general", publish: null }, { name: "general", enable: 0 }, { name: "general", enable: 1 }, { name: "general", publish: true }, { name: "general", publish: "1" },
    { name: "general", disable: "true" }, { name: "general", discard: 1 }, { name: "general", publish: 1, disable: 1 }, { name: "general", enable: false, disable: false },
  ], { shape: true }),
  ["other", `POST ${at}`, { name: "general", enable: 1 }],
  ["reader", `POST ${at}`, { name: "general", enable: 1 }],
  ["nobody", `POST ${at}`, { name: "general" }],
  ["member", `POST /instances/${unknown}/log`, { name: "general" }],
  ["member", `POST /instances/nothing/log`, { name: "general" }],
  ["admin", `POST ${at}`, { name: "general" }, { shape: true }],
];
