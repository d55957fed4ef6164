import type { FunctionName } from "#functions/aws/environment";
import type { Database } from "#functions/aws/stack/database";
import type { Key } from "#functions/aws/stack/key";

export interface Common {
  production: boolean;
  key: Key;
  database: Database;
}

export interface Shape {
  memory: `${number} MB`;
  timeoutSeconds: number;
  /** The most that run at once in production; a small account has too little to reserve any in dev. */
  reserved: number;
  environment: Record<string, $util.Input<string>>;
  /** Beside its log, its network interfaces and its environment. */
  permissions?: { actions: string[]; resources: $util.Input<string>[] }[];
  copyFiles?: { from: string; to: string }[];
  /** Made and done before new code of this function serves. */
  after?: $util.Resource;
}

/** SST's name of a function, and the end of its name in AWS. */
const titles = { api: "Api", guest: "Guest", queue: "Queue", workflow: "Workflow", cron: "Cron", migrate: "Migrate" } as const satisfies Partial<Record<FunctionName, string>>;

/**
 * One of the entries `functions/<name>/index.ts` as a Lambda function in the private network. Its role holds
 * what is written here and in `permissions`, in place of AWS' managed policies, which let any function write
 * to any log. `link` is not used: it would give every action of the linked resource.
 */
export function createFunction(name: keyof typeof titles, { production, key, database }: Common, shape: Shape) {
  const title = titles[name];
  const physical = `${$app.name}-${$app.stage}-${name}`;
  const logs = new aws.cloudwatch.LogGroup(`${title}Log`, { name: `/aws/lambda/${physical}`, retentionInDays: production ? 90 : 7 });
  const entry = new sst.aws.Function(title, {
    name: physical,
    description: `Coffer: functions/${name}`,
    handler: `functions/${name}/index.handler`,
    runtime: "nodejs22.x",
    architecture: "arm64",
    memory: shape.memory,
    timeout: `${shape.timeoutSeconds} seconds`,
    ...(production && { concurrency: { reserved: shape.reserved } }),
    vpc: { privateSubnets: database.vpc.privateSubnets, securityGroups: [database.callers.id] },
    logging: { logGroup: logs.name },
    environment: shape.environment,
    ...(shape.copyFiles && { copyFiles: shape.copyFiles }),
    permissions: [
      // Streams are named by Lambda.
      { actions: ["logs:CreateLogStream", "logs:PutLogEvents"], resources: [$interpolate`${logs.arn}:*`] },
      {
        // Lambda makes the interfaces for the function and asks for these on every resource.
        actions: [
          "ec2:CreateNetworkInterface",
          "ec2:DescribeNetworkInterfaces",
          "ec2:DescribeSubnets",
          "ec2:DeleteNetworkInterface",
          "ec2:AssignPrivateIpAddresses",
          "ec2:UnassignPrivateIpAddresses",
        ],
        resources: ["*"],
      },
      { actions: ["kms:Decrypt"], resources: [key.arn] },
      ...(shape.permissions ?? []),
    ],
    transform: {
      role: {
        managedPolicyArns: [],
        // SST would also let every principal of the account assume the role.
        assumeRolePolicy: aws.iam.assumeRolePolicyForPrincipal({ Service: "lambda.amazonaws.com" }),
      },
      function: (args, options) => {
        args.kmsKeyArn = key.arn;
        if (shape.after) options.dependsOn = [shape.after];
      },
    },
  });
  return { arn: entry.arn, name: physical, node: entry.nodes.function, logs };
}
export type Entry = ReturnType<typeof createFunction>;
