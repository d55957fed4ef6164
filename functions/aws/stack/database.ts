import type { Key } from "#functions/aws/stack/key";
import type { Secrets } from "#functions/aws/stack/secrets";

/** The network, and in it PostgreSQL behind a proxy, reached by the functions only. */
export function createDatabase({ key, secrets, production }: { key: Key; secrets: Secrets; production: boolean }) {
  // Functions also call Keystone, SQS and Step Functions. In dev one small instance translates addresses.
  const vpc = new sst.aws.Vpc("Network", { nat: production ? "managed" : "ec2" });
  const callers = new aws.ec2.SecurityGroup("Callers", {
    vpcId: vpc.id,
    description: "Functions",
    egress: [{ description: "Keystone, AWS, database", protocol: "tcp", fromPort: 0, toPort: 65535, cidrBlocks: ["0.0.0.0/0"] }],
  });
  const servers = new aws.ec2.SecurityGroup("Servers", {
    vpcId: vpc.id,
    description: "Database and its proxy",
    ingress: [{ description: "Functions, and the proxy", protocol: "tcp", fromPort: 5432, toPort: 5432, securityGroups: [callers.id], self: true }],
    egress: [{ description: "The proxy to the database", protocol: "tcp", fromPort: 5432, toPort: 5432, self: true }],
  });

  const roles = { app: secrets.appPassword.value, system: secrets.systemPassword.value };
  const postgres = new sst.aws.Postgres("Database", {
    vpc,
    version: "17",
    // 10,000 idle guests ask 29 times a second, less than a tenth of a core (`npm run bench -- cost`); this class may use 0.4 for good.
    instance: production ? "t4g.medium" : "t4g.micro",
    storage: production ? "100 GB" : "20 GB",
    multiAz: production,
    username: "coffer_owner",
    database: "coffer",
    proxy: {
      credentials: [
        { username: "coffer_app", password: roles.app },
        { username: "coffer_system", password: roles.system },
      ],
    },
    transform: {
      parameterGroup: { parameters: [{ name: "rds.force_ssl", value: "1" }] },
      instance: {
        kmsKeyId: key.arn,
        performanceInsightsKmsKeyId: key.arn,
        publiclyAccessible: false,
        vpcSecurityGroupIds: [servers.id],
        backupRetentionPeriod: production ? 30 : 1,
        copyTagsToSnapshot: true,
        autoMinorVersionUpgrade: true,
        allowMajorVersionUpgrade: false,
        deletionProtection: production,
        ...(production && { skipFinalSnapshot: false, finalSnapshotIdentifier: `${$app.name}-${$app.stage}-final` }),
      },
      proxy: { requireTls: true, vpcSecurityGroupIds: [servers.id], idleClientTimeout: 300 },
    },
  });

  // Both are verified: the proxy's certificate is of a public authority, the server's of RDS' own, for which
  // a function points NODE_EXTRA_CA_CERTS at what Lambda ships.
  const url = (user: string, password: $util.Output<string>, host: $util.Output<string>) =>
    $util.all([password, host]).apply(([password, host]) => `postgresql://${user}:${encodeURIComponent(password)}@${host}:5432/coffer?sslmode=verify-full`);
  const instance = postgres.nodes.instance;
  if (!instance) throw new Error("the database has no instance of its own: this stack does not run in `sst dev`");
  return {
    vpc,
    callers,
    urls: {
      app: url("coffer_app", roles.app, postgres.host),
      system: url("coffer_system", roles.system, postgres.host),
      /** Directly: the migrator's lock belongs to a session. */
      owner: url("coffer_owner", postgres.password, instance.address),
    },
  };
}
export type Database = ReturnType<typeof createDatabase>;
