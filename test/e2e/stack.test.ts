import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { render } from "#core/workflow/asl";
import { workflows } from "#core/workflow/index";
import { environmentOf, environments, requiredKeys, type FunctionName } from "#functions/aws/environment";

/** `sst.config.ts` as SST's own components make it, against a cloud that accepts everything. */
interface Resource {
  type: string;
  name: string;
  inputs: Record<string, unknown>;
  secrets: string[];
  dependencies: string[];
  retain: boolean;
}
interface Stack {
  app: { removal: string; protect: boolean };
  resources: Resource[];
}
interface Lambda {
  name: string;
  timeout: number;
  memorySize: number;
  kmsKeyArn: string;
  reservedConcurrentExecutions?: number;
  environment: { variables: Record<string, string> };
  loggingConfig: { logGroup: string };
  vpcConfig: { securityGroupIds: string[]; subnetIds: string[] };
}
interface Statement {
  actions: string[];
  resources: string[];
  effect?: string;
}

const pem = (what: string) => `-----BEGIN ${what}-----\nAA==\n-----END ${what}-----`;
const secrets = {
  Installation: "0123456789",
  RootKey: "ab".repeat(32),
  CaCertificate: pem("CERTIFICATE"),
  CaKey: pem("PRIVATE KEY"),
  KeystonePassword: "of keystone",
  AppPassword: "of/app+and more than 16",
  SystemPassword: "of/system+and more than 16",
};
const settings = { COFFER_KEYSTONE_URL: "https://keystone.example:5000/v3", COFFER_CLOUD: "openstack", COFFER_MAX_INSTANCES: "25", COFFER_ALARM_EMAIL: "on-call@example.org" };

async function synthesize(stage: string, given: Record<string, string> = settings): Promise<Stack> {
  const environment = { PATH: process.env.PATH, HOME: process.env.HOME, ...Object.fromEntries(Object.entries(secrets).map(([name, value]) => [`SST_SECRET_${name}`, value])), ...given };
  const { stdout } = await promisify(execFile)(process.execPath, ["test/support/sst/synthesize.mjs", stage], { env: environment, maxBuffer: 1 << 26 });
  return JSON.parse(stdout) as Stack;
}

const stacks: Record<string, Stack> = {};
// The first evaluation installs what SST's components import.
beforeAll(async () => {
  for (const stage of ["dev", "production"]) stacks[stage] = await synthesize(stage);
}, 600_000);

const of = (stage: string) => {
  const stack = stacks[stage];
  if (!stack) throw new Error(`the stage ${stage} was not evaluated`);
  const all = <T = Record<string, unknown>>(type: string) => stack.resources.filter((one) => one.type === type).map((one) => one.inputs as T);
  const one = (name: string) => {
    const found = stack.resources.filter((resource) => resource.name === name && !resource.type.startsWith("sst:"));
    expect(found, name).toHaveLength(1);
    return found[0] as Resource;
  };
  return { ...stack, all, one, input: <T = Record<string, unknown>>(name: string) => one(name).inputs as T };
};
const title = (name: string) => name.charAt(0).toUpperCase() + name.slice(1);
/** The stack draws no doorbell yet: guests ask at their own pace. */
type Drawn = Exclude<FunctionName, "doorbell">;
const names = Object.keys(environments).filter((name): name is Drawn => name !== "doorbell");
const policyOf = (stage: string, role: string) => {
  const { inlinePolicies } = of(stage).input<{ inlinePolicies: { policy: string }[] }>(role);
  return inlinePolicies.flatMap(({ policy }) => (JSON.parse(policy) as { statements: Statement[] }).statements);
};

describe.each(["dev", "production"])("in %s", (stage) => {
  test.each(names)("the function %s is given everything it reads, and what it reads is valid", (name) => {
    const { variables } = of(stage).input<Lambda>(`${title(name)}Function`).environment;
    expect(requiredKeys(name).filter((key) => !variables[key])).toEqual([]);
    const parsed = environmentOf(name, { ...variables, LAMBDA_TASK_ROOT: "/var/task" });
    expect(parsed.DATABASE_URL).toContain("sslmode=verify-full");
    // Nothing that the function does not read, beside what SST and Node read.
    const known = [...Object.keys(environments[name].shape), "SST_KEY", "SST_KEY_FILE", "SST_RESOURCE_App", "NODE_EXTRA_CA_CERTS"];
    expect(Object.keys(variables).filter((key) => !known.includes(key))).toEqual([]);
    expect(of(stage).one(`${title(name)}Function`).secrets).toContain("environment");
    expect(Buffer.byteLength(JSON.stringify(variables))).toBeLessThan(4096);
  });

  test("each function connects as the role that it may be, all but the migrator through the proxy", () => {
    const users = Object.fromEntries(names.map((name) => {
      const url = new URL(of(stage).input<Lambda>(`${title(name)}Function`).environment.variables.DATABASE_URL ?? "");
      return [name, `${url.username} ${decodeURIComponent(url.password)} ${url.hostname.split(".").slice(1, 2).join()}`];
    }));
    const system = `coffer_system ${secrets.SystemPassword} proxy`;
    expect(users).toEqual({ api: `coffer_app ${secrets.AppPassword} proxy`, guest: system, queue: system, workflow: system, cron: system, migrate: "coffer_owner generated/owner+password rds" });
  });

  test("a role allows exactly what its function does, and only the function may have it", () => {
    const queue = `arn:aws:sqs:eu-central-1:123456789012:${of(stage).input<{ name: string }>("OperationsQueue").name}`;
    const machines = Object.keys(workflows).map((kind) => `arn:aws:states:eu-central-1:123456789012:stateMachine:coffer-${stage}-${kind}`);
    const send = { effect: "Allow", actions: ["sqs:SendMessage"], resources: [queue] };
    const start = [
      { effect: "Allow", actions: ["states:StartExecution"], resources: machines },
      { effect: "Allow", actions: ["states:DescribeExecution"], resources: machines.map((arn) => `${arn.replace(":stateMachine:", ":execution:")}:*`) },
    ];
    const own: Record<Drawn, Statement[]> = {
      api: [send],
      guest: [],
      queue: [{ effect: "Allow", actions: ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], resources: [queue] }, ...start],
      workflow: [send],
      cron: [send, ...start, { effect: "Allow", actions: ["events:PutEvents"], resources: [`arn:aws:events:eu-central-1:123456789012:event-bus/${of(stage).input<{ name: string }>("EventsBus").name}`] }],
      migrate: [],
    };
    for (const name of names) {
      const common: Statement[] = [
        { effect: "Allow", actions: ["logs:CreateLogStream", "logs:PutLogEvents"], resources: [`arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/coffer-${stage}-${name}:*`] },
        {
          effect: "Allow",
          actions: ["ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"],
          resources: ["*"],
        },
        { effect: "Allow", actions: ["kms:Decrypt"], resources: ["arn:aws:kms:eu-central-1:123456789012:key/Key"] },
      ];
      expect(policyOf(stage, `${title(name)}Role`), name).toEqual([...common, ...own[name]]);
    }
    // The instance that translates addresses in dev has a role of SST's making, for its session manager.
    const roles = of(stage).resources.filter(({ type, name }) => type === "aws:iam/role:Role" && name !== "NetworkNatInstanceRole");
    expect(roles.length).toBe(names.length + 3);
    for (const { name, inputs } of roles) {
      expect(inputs.managedPolicyArns ?? [], name).toEqual([]);
      expect(inputs.assumeRolePolicy, name).not.toContain(":root");
    }
    const step = { actions: ["lambda:InvokeFunction"], resources: [`arn:aws:lambda:eu-central-1:123456789012:function:coffer-${stage}-workflow`] };
    expect(policyOf(stage, "MachineRole")).toEqual([step]);
    expect(policyOf(stage, "SweepRole")).toEqual([{ ...step, resources: [step.resources[0]?.replace("workflow", "cron")] }]);
  });

  test("a message is tried five times, each record by itself, and hidden six times as long as its function may take", () => {
    const queue = of(stage).input<{ redrivePolicy: string; visibilityTimeoutSeconds: number }>("OperationsQueue");
    const dead = of(stage).input<{ name: string; messageRetentionSeconds: number }>("DeadLettersQueue");
    expect(JSON.parse(queue.redrivePolicy)).toEqual({ deadLetterTargetArn: `arn:aws:sqs:eu-central-1:123456789012:${dead.name}`, maxReceiveCount: 5 });
    const { timeout } = of(stage).input<Lambda>("QueueFunction");
    expect(queue.visibilityTimeoutSeconds).toBeGreaterThanOrEqual(6 * timeout);
    const [mapping] = of(stage).all("aws:lambda/eventSourceMapping:EventSourceMapping");
    expect(mapping).toMatchObject({
      functionResponseTypes: ["ReportBatchItemFailures"],
      functionName: `arn:aws:lambda:eu-central-1:123456789012:function:coffer-${stage}-queue`,
      scalingConfig: { maximumConcurrency: 5 },
    });
    expect(dead.messageRetentionSeconds).toBe(14 * 86_400);
  });

  test("everything at rest is encrypted", () => {
    const key = "arn:aws:kms:eu-central-1:123456789012:key/Key";
    expect(of(stage).input("Key")).toMatchObject({ enableKeyRotation: true });
    expect(of(stage).input("DatabaseInstance")).toMatchObject({ storageEncrypted: true, kmsKeyId: key, performanceInsightsKmsKeyId: key });
    for (const name of names) expect(of(stage).input<Lambda>(`${title(name)}Function`).kmsKeyArn).toBe(key);
    for (const queue of of(stage).all("aws:sqs/queue:Queue")) expect(queue.sqsManagedSseEnabled).toBe(true);
    expect(of(stage).input("BackupsEncryption").rules).toEqual([{ applyServerSideEncryptionByDefault: { sseAlgorithm: "aws:kms", kmsMasterKeyId: key }, bucketKeyEnabled: true }]);
    expect(of(stage).input("Alarms").kmsMasterKeyId).toBe("Key-id");
  });

  test("the database is reached by the functions only, and by TLS only", () => {
    expect(of(stage).input("DatabaseInstance")).toMatchObject({ publiclyAccessible: false, vpcSecurityGroupIds: ["Servers-id"] });
    expect(of(stage).input("DatabaseProxy")).toMatchObject({ requireTls: true, vpcSecurityGroupIds: ["Servers-id"], vpcSubnetIds: ["NetworkPrivateSubnet1-id", "NetworkPrivateSubnet2-id"] });
    expect(of(stage).input("DatabaseSubnetGroup").subnetIds).toEqual(["NetworkPrivateSubnet1-id", "NetworkPrivateSubnet2-id"]);
    expect(of(stage).input("DatabaseParameterGroup").parameters).toEqual([{ name: "rds.force_ssl", value: "1" }]);
    expect(of(stage).input("Servers").ingress).toEqual([expect.objectContaining({ fromPort: 5432, toPort: 5432, securityGroups: ["Callers-id"], self: true })]);
    expect(of(stage).input<{ ingress?: unknown }>("Callers").ingress).toBeUndefined();
    for (const name of names) {
      expect(of(stage).input<Lambda>(`${title(name)}Function`).vpcConfig).toEqual({ securityGroupIds: ["Callers-id"], subnetIds: ["NetworkPrivateSubnet1-id", "NetworkPrivateSubnet2-id"] });
    }
    expect(of(stage).all("aws:lambda/functionUrl:FunctionUrl")).toEqual([]);
  });

  test("backups are versioned, by TLS only, never public, and their remains go", () => {
    expect(of(stage).input("BackupsVersioning")).toMatchObject({ versioningConfiguration: { status: "Enabled" } });
    expect(of(stage).input("BackupsPublicAccessBlock")).toMatchObject({ blockPublicAcls: true, blockPublicPolicy: true, ignorePublicAcls: true, restrictPublicBuckets: true });
    const [rule] = of(stage).input<{ rules: Record<string, unknown>[] }>("BackupsLifecycle").rules;
    expect(rule).toMatchObject({ status: "Enabled", noncurrentVersionExpiration: { noncurrentDays: stage === "production" ? 30 : 1 }, abortIncompleteMultipartUpload: { daysAfterInitiation: 7 } });
    const { statements } = JSON.parse(of(stage).input<{ policy: string }>("BackupsPolicy").policy) as { statements: unknown[] };
    expect(statements).toEqual([expect.objectContaining({ effect: "Deny", conditions: [{ test: "Bool", variable: "aws:SecureTransport", values: ["false"] }] })]);
  });

  test("migrations are done before any other new code serves, and again with every new code", () => {
    const migrated = of(stage).one("Migrated");
    expect(migrated.inputs.functionName).toBe(`coffer-${stage}-migrate`);
    expect(migrated.dependencies).toContain("MigrateFunction");
    expect(migrated.inputs.triggers).toMatchObject({ code: of(stage).input<{ s3Key: string }>("MigrateFunction").s3Key });
    for (const name of names.filter((name) => name !== "migrate")) expect(of(stage).one(`${title(name)}Function`).dependencies, name).toContain("Migrated");
  });

  test("there is one machine per workflow, as it is rendered", () => {
    const made = of(stage).all<{ name: string; definition: string }>("aws:sfn/stateMachine:StateMachine");
    const arn = `arn:aws:lambda:eu-central-1:123456789012:function:coffer-${stage}-workflow`;
    expect(Object.fromEntries(made.map(({ name, definition }) => [name, JSON.parse(definition) as unknown]))).toEqual(
      Object.fromEntries(Object.values(workflows).map((workflow) => [`coffer-${stage}-${workflow.kind}`, JSON.parse(JSON.stringify(render(workflow, arn)))])),
    );
  });

  test("tenants and guests have endpoints of their own, throttled, each with its function", () => {
    const routes = of(stage).all("aws:apigatewayv2/integration:Integration").map(({ apiId, integrationUri, payloadFormatVersion }) => [apiId, integrationUri, payloadFormatVersion]);
    const uri = (name: string) => `arn:aws:lambda:eu-central-1:123456789012:function:coffer-${stage}-${name}`;
    expect(routes.sort()).toEqual([["ApiGatewayApi-id", uri("api"), "2.0"], ["GuestGatewayApi-id", uri("guest"), "2.0"]]);
    expect(of(stage).input("ApiGatewayStage").defaultRouteSettings).toEqual({ throttlingRateLimit: 100, throttlingBurstLimit: 200 });
    expect(of(stage).input("GuestGatewayStage").defaultRouteSettings).toEqual({ throttlingRateLimit: 1000, throttlingBurstLimit: 2000 });
    expect(of(stage).input<Lambda>("CronFunction").environment.variables.COFFER_GUEST_URL).toBe("https://guestgatewayapi.execute-api.eu-central-1.amazonaws.com/guest/v1");
    // An integration answers within 30 s or not at all.
    for (const name of ["Api", "Guest"]) expect(of(stage).input<Lambda>(`${name}Function`).timeout).toBeLessThan(30);
  });

  test("the sweep is run every minute", () => {
    expect(of(stage).all("aws:scheduler/schedule:Schedule")).toEqual([
      expect.objectContaining({ scheduleExpression: "rate(1 minute)", state: "ENABLED", target: expect.objectContaining({ arn: `arn:aws:lambda:eu-central-1:123456789012:function:coffer-${stage}-cron` }) as unknown }),
    ]);
  });

  test("no log is kept for ever, and every function writes to its own", () => {
    const groups = of(stage).all<{ name: string; retentionInDays: number }>("aws:cloudwatch/logGroup:LogGroup");
    expect(groups.filter(({ retentionInDays }) => !(retentionInDays > 0))).toEqual([]);
    for (const name of names) expect(of(stage).input<Lambda>(`${title(name)}Function`).loggingConfig.logGroup).toBe(`/aws/lambda/coffer-${stage}-${name}`);
  });

  test("a person hears of dead letters, failed executions, 5xx, overdue operations, silent guests, events that nobody takes and a sweep that stands", () => {
    const alarms = of(stage).all<{ name: string; alarmActions: string[]; metricName?: string; metricQueries?: { metric?: { metricName: string } }[] }>("aws:cloudwatch/metricAlarm:MetricAlarm");
    for (const alarm of alarms) expect(alarm.alarmActions, alarm.name).toHaveLength(1);
    const watched = alarms.map(({ name, metricName, metricQueries }) => [name.replace(`coffer-${stage}-`, ""), metricName ?? metricQueries?.flatMap(({ metric }) => metric?.metricName ?? []).join()]);
    expect(Object.fromEntries(watched)).toEqual({
      DeadLetters: "ApproximateNumberOfMessagesVisible",
      ...Object.fromEntries(Object.keys(workflows).map((kind) => [`${kind.split("_").map(title).join("")}Failed`, "ExecutionsFailed,ExecutionsTimedOut"])),
      ApiErrors: "5xx",
      GuestErrors: "5xx",
      Overdue: `coffer-${stage}-Overdue`,
      Silent: `coffer-${stage}-Silent`,
      EventsLate: `coffer-${stage}-EventsLate`,
      SweepFailed: `coffer-${stage}-SweepFailed`,
      Sweep: "Invocations",
    });
    // What alarms count in its log is what the sweep says.
    const sweep = readFileSync("functions/cron/sweep.ts", "utf8");
    const filters = of(stage).all<{ logGroupName: string; pattern: string }>("aws:cloudwatch/logMetricFilter:LogMetricFilter");
    expect(filters).toHaveLength(4);
    for (const { logGroupName, pattern } of filters) {
      expect(logGroupName).toBe(`/aws/lambda/coffer-${stage}-cron`);
      expect(sweep).toContain(`log.error(${/"[^"]+"/.exec(pattern)?.[0]}`);
    }
    expect(of(stage).input("AlarmsMail")).toMatchObject({ protocol: "email", endpoint: "on-call@example.org" });
  });
});

test("production is protected and kept, dev is cheap and leaves nothing", () => {
  expect([of("production").app, of("dev").app]).toMatchObject([{ removal: "retain", protect: true }, { removal: "remove", protect: false }]);
  expect(of("production").input("DatabaseInstance")).toMatchObject({ deletionProtection: true, skipFinalSnapshot: false, multiAz: true, backupRetentionPeriod: 30 });
  expect(of("dev").input("DatabaseInstance")).toMatchObject({ deletionProtection: false, skipFinalSnapshot: true, multiAz: false, instanceClass: "db.t4g.micro" });
  for (const name of ["DatabaseInstance", "BackupsBucket", "Key"]) expect([name, of("production").one(name).retain, of("dev").one(name).retain]).toEqual([name, true, false]);
  expect([of("production").input("BackupsBucket").forceDestroy, of("dev").input("BackupsBucket").forceDestroy]).toEqual([false, true]);
  expect([of("production").all("aws:ec2/natGateway:NatGateway").length, of("dev").all("aws:ec2/natGateway:NatGateway").length]).toEqual([2, 0]);
  const reserved = (stage: string) => Object.fromEntries(names.map((name) => [name, of(stage).input<Lambda>(`${title(name)}Function`).reservedConcurrentExecutions]));
  expect(reserved("production")).toEqual({ api: 100, guest: 100, queue: 10, workflow: 100, cron: 1, migrate: 1 });
  expect(Object.values(reserved("dev"))).toEqual(names.map(() => undefined));
});

test("a deployment that is not told where Keystone is fails before it makes anything, and says so", async () => {
  await expect(synthesize("dev", { COFFER_CLOUD: "openstack" })).rejects.toThrow(/The deployment is not configured\. COFFER_KEYSTONE_URL/);
});
