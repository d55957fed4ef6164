import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

/**
 * The arrows between rooms. A file is judged by the first rule whose `from` matches it: what it
 * imports of ours must match one of `to`. Types count as well: an arrow is an arrow.
 */
const shared = /^#core\/(actor|context|config|log|clock|error|id|failpoint|pki|lock|seal|stamp)$/;
const rules: { from: RegExp; to: RegExp[] }[] = [
  { from: /\.sql\.ts$/, to: [/\.sql$/, /^#core\/(db\/columns|id|instance\/status|guest\/protocol|parameter\/fact)$/] },
  { from: /^core\/(context|log)\.ts$/, to: [shared, /^#core\/db\/index$/] },
  { from: /^core\/[a-z]+\.ts$/, to: [shared] },
  { from: /^core\/db\//, to: [shared, /^#core\/db\//, /^#core\/guest\/scram$/] },
  { from: /^core\/driver\/index\.ts$/, to: [shared, /^#core\/driver\//] },
  { from: /^core\/driver\/local\//, to: [shared, /^#core\/driver\/([a-z]+|local\/.*)$/, /^#core\/(guest\/protocol|engine\/engine)$/] },
  { from: /^core\/driver\/fake/, to: [shared, /^#core\/driver\/([a-z]+|fake\/.*)$/, /^#core\/guest\/protocol$/] },
  { from: /^core\/driver\/[a-z]+\.ts$/, to: [shared, /^#core\/driver\/(resource|compute|volume|network|objectstore|call|ensure)$/, /^#core\/guest\/protocol$/] },
  { from: /^core\/parameter\//, to: [shared, /^#core\/parameter\//] },
  { from: /^core\/engine\//, to: [shared, /^#core\/module\/extensions$/, /^#core\/(engine|parameter|archive)\//, /^#core\/guest\/(protocol|scram)$/] },
  { from: /^core\/archive\//, to: [shared, /^#core\/archive\//, /^#core\/guest\/protocol$/] },
  { from: /^core\/guest\/agent\//, to: [shared, /^#core\/guest\/(agent\/|protocol|seal$)/, /^#core\/(engine\/(engine|physical|replication|index)|parameter\/fact)$/, /^#core\/archive\//] },
  { from: /^core\/guest\/(protocol|replica|scram|seal|grant)\.ts$/, to: [shared, /^#core\/guest\/(protocol|replica)$/] },
  { from: /^core\/guest\//, to: [shared, /^#core\/(db|event)\//, /^#core\/guest\//, /^#core\/instance\/(instance\.sql|status)$/, /^#core\/(module\/module|datastore\/datastore|backup\/backup)\.sql$/, /^#core\/driver\/objectstore$/] },
  { from: /^core\/event\//, to: [shared, /^#core\/(db|event)\//, /^#core\/instance\/(instance\.sql|status)$/, /^#core\/(datastore\/datastore|flavor\/flavor|quota\/quota)\.sql$/] },
  { from: /^core\/openstack\//, to: [shared, /^#core\/openstack\//] },
  { from: /^core\/identity\//, to: [shared, /^#core\/(identity|openstack)\//] },
  { from: /^core\/workflow\//, to: [shared, /^#core\/workflow\//, /^#core\/(db|event|operation|instance|datastore|flavor|quota)\//, /^#core\/backup\/end$/, /^#core\/driver\/(resource|compute|volume|network|objectstore|ensure)$/, /^#core\/guest\/(client|confide|protocol|(guest|doorbell)\.sql)$/] },
  { from: /^core\/(datastore|flavor|quota|operation)\//, to: [shared, /^#core\/(db|event)\//, /^#core\/(datastore|flavor|quota|operation|parameter)\//] },
  { from: /^core\/configuration\//, to: [shared, /^#core\/(db|event|configuration|instance|datastore|parameter)\//, /^#core\/guest\/client$/] },
  { from: /^core\/secret\//, to: [shared, /^#core\/secret\//] },
  { from: /^core\/ssl\//, to: [shared, /^#core\/(db|ssl|instance)\//, /^#core\/secret\/store$/, /^#core\/guest\/(client|protocol|seal)$/] },
  { from: /^core\/module\//, to: [shared, /^#core\/(db|module|instance|datastore)\//, /^#core\/guest\/(client|protocol)$/] },
  { from: /^core\/backup\//, to: [shared, /^#core\/(db|event|backup|instance|datastore|operation|quota)\//, /^#core\/guest\/(client|grant|guest\.sql|protocol|seal|server)$/, /^#core\/driver\/objectstore$/] },
  { from: /^core\/instance\//, to: [shared, /^#core\/(db|event|instance|datastore|flavor|quota|operation|parameter)\//, /^#core\/(configuration\/configuration|module\/module|backup\/backup)\.sql$/, /^#core\/guest\/(client|logs|protocol|scram)$/] },
  { from: /^functions\/(api|guest|doorbell|queue|workflow|cron|migrate)\/index\.ts$/, to: [shared, /^#functions\/aws\//, /^#functions\/(api|guest)\/app$/, /^#functions\/(queue\/operations|doorbell\/handler|workflow\/(step|task)|cron\/sweep)$/, /^#core\/db\/migrate$/] },
  { from: /^functions\/aws\/stack\//, to: [shared, /^#functions\/aws\/(stack\/[a-z]+|environment)$/, /^#core\/workflow\/(asl|context|index)$/] },
  { from: /^functions\/aws\//, to: [shared, /^#functions\/(aws\/.*|queue\/publisher)$/, /^#core\/(db|event|operation)\//, /^#core\/(identity\/keystone|guest\/(client|doorbell)|workflow\/(context|run))$/] },
  { from: /^functions\/api\//, to: [shared, /^#functions\/api\//, /^#core\/(db|instance|backup|configuration|module|datastore|flavor|parameter|quota|operation|ssl)\//, /^#core\/(guest\/client|secret\/store|driver\/objectstore)$/] },
  { from: /^functions\/guest\//, to: [shared, /^#functions\/guest\//, /^#core\/(db\/index|backup\/grant)$/, /^#core\/guest\/(server|protocol|client|doorbell|grant|logs)$/, /^#core\/driver\/(objectstore|stream)$/] },
  { from: /^functions\/doorbell\//, to: [shared, /^#core\/db\/index$/, /^#core\/guest\/(server|protocol|client|doorbell)$/] },
  { from: /^functions\/queue\//, to: [shared, /^#functions\/queue\//, /^#core\/(db\/outbox|operation\/.*|workflow\/run)$/] },
  { from: /^functions\/(workflow|cron)\//, to: [shared, /^#core\/(db|event|workflow|operation|instance|quota)\//, /^#core\/driver\/(index|compute)$/, /^#core\/guest\/(doorbell|ending)$/, /^#core\/backup\/(clean|keys|prune)$/] },
  { from: /^functions\/agent\//, to: [shared, /^#functions\/agent\//, /^#core\/guest\/(agent\/|protocol)/, /^#core\/engine\//] },
  { from: /^functions\/events\//, to: [shared, /^#functions\/events\//, /^#core\/event\/drain$/] },
  { from: /^functions\/objectstore\//, to: [shared, /^#functions\/objectstore\//, /^#core\/driver\/(objectstore|resource|stream)$/] },
  { from: /^functions\/identity\//, to: [shared, /^#functions\/identity\//, /^#core\/(db|identity)\//] },
  { from: /^functions\/keymanager\//, to: [shared, /^#functions\/keymanager\//, /^#core\/(db\/(index|columns)|secret\/store)$/] },
  { from: /^functions\/node\//, to: [shared, /^#functions\/(node\/.*|guest\/app)$/] },
  { from: /^functions\/server\//, to: [/^#(core|functions\/(?!local\/|identity\/))/] },
  { from: /^functions\/local\//, to: [/^#/] },
];

const files = ["core", "functions"].flatMap((room) =>
  readdirSync(room, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(room, name)),
);
const importsOf = (file: string) =>
  [...readFileSync(file, "utf8").matchAll(/^(?:import|export)[^"';]*?from "([^"]+)"|^import "([^"]+)"/gms)].map((found) => found[1] ?? found[2] ?? "");

test("no file imports across a forbidden arrow", () => {
  const wrong = files.flatMap((file) => {
    const rule = rules.find(({ from }) => from.test(file));
    const ours = importsOf(file).filter((name) => name.startsWith("#") || name.startsWith("."));
    return ours.filter((name) => !rule?.to.some((allowed) => allowed.test(name))).map((name) => `${file} -> ${name}`);
  });
  expect(wrong).toEqual([]);
});

test("the environment is read in composition roots only", () => {
  const roots = /^functions\/((local|agent|server)\/main|[a-z]+\/index)\.ts$/;
  const wrong = files.filter((file) => !roots.test(file) && readFileSync(file, "utf8").includes("process.env"));
  expect(wrong).toEqual([]);
});

test("no file grows past 400 lines", () => {
  expect(files.filter((file) => readFileSync(file, "utf8").split("\n").length > 400)).toEqual([]);
});
