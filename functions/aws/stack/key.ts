/** The key of everything at rest: database, backups, environments of functions, alarms. */
export function createKey(production: boolean) {
  const account = aws.getCallerIdentityOutput().accountId;
  const partition = aws.getPartitionOutput().partition;
  // Without its key, what a removed stack leaves behind cannot be read.
  return new aws.kms.Key(
    "Key",
    {
      description: `${$app.name} ${$app.stage}`,
      enableKeyRotation: true,
      deletionWindowInDays: production ? 30 : 7,
      policy: $util.jsonStringify({
        Version: "2012-10-17",
        Statement: [
          {
            // Without it nobody could ever administer the key; in a key's own policy "*" is that key.
            Sid: "Account",
            Effect: "Allow",
            Principal: { AWS: $interpolate`arn:${partition}:iam::${account}:root` },
            Action: "kms:*",
            Resource: "*",
          },
          {
            // An alarm publishes to an encrypted topic.
            Sid: "Alarms",
            Effect: "Allow",
            Principal: { Service: "cloudwatch.amazonaws.com" },
            Action: ["kms:Decrypt", "kms:GenerateDataKey"],
            Resource: "*",
            Condition: { StringEquals: { "aws:SourceAccount": account } },
          },
        ],
      }),
    },
    { retainOnDelete: production },
  );
}
export type Key = ReturnType<typeof createKey>;
