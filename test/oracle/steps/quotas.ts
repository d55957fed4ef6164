import { bodies, everyone, type Step } from "#test/oracle/step";

const network = "aaaaaaaa-0000-4000-8000-000000000001";
const wish = (name: string, size: number, flavorRef = "1") => ({ instance: { name, flavorRef, volume: { size }, nics: [{ "net-id": network }] } });

/** Limits of projects (contract §2.10, §4.7). */
export const quotas: Step[] = [
  ...everyone(["member", "reader", "admin", "other", "nobody", "expired"], ["GET /mgmt/quotas/{project_member}", "GET /mgmt/quotas/{project_other}", "GET /mgmt/quotas/nothing"], { unordered: true }),
  ...bodies("admin", "PUT /mgmt/quotas/{project_member}", [
    {}, { quotas: null }, { quotas: [] }, { quotas: "x" }, { quotas: { nothing: 1 } }, { quotas: { instances: -2 } }, { quotas: { instances: "x" } }, { quotas: { instances: 1.5 } }, { quotas: { instances: true } },
    { quotas: {} }, { quotas: { instances: null } }, { quotas: { instances: "5" } },
  ]),
  ...(["member", "reader", "other", "nobody"] as const).map((who): Step => [who, "PUT /mgmt/quotas/{project_member}", { quotas: { instances: 100 } }]),
  ["admin", "PUT /mgmt/quotas/{project_member}", { quotas: { instances: 3, volumes: 7, ram: null, backups: -1 } }],
  ["member", "GET /mgmt/quotas/{project_member}", undefined, { unordered: true }],
  ["member", "GET /limits"],
  ["member", "POST /instances", wish("fourth", 1)],
  ["member", "POST /instances", wish("fourth", 9)],
  ["admin", "PUT /mgmt/quotas/{project_member}", { quotas: { instances: 20, volumes: 7, ram: 1 } }],
  ["member", "POST /instances", wish("fourth", 5)],
  ["member", "POST /instances/{one}/action", { resize: { volume: { size: 9 } } }],
  ["admin", "PUT /mgmt/quotas/{project_member}", { quotas: { instances: 12, volumes: 40, ram: -1, backups: 50 } }],
  ["member", "GET /mgmt/quotas/{project_member}", undefined, { unordered: true }],
  ["admin", "PUT /mgmt/quotas/nothing", { quotas: { instances: 1 } }],
  ["admin", "GET /mgmt/quotas/nothing", undefined, { unordered: true }],
];
