import type { Key } from "#functions/aws/stack/key";

/** Where backups are kept: every version for a time, encrypted, by TLS only, never public. */
export function createBackups(key: Key, production: boolean) {
  const bucket = new sst.aws.Bucket("Backups", {
    versioning: true,
    cors: false,
    // What is written says itself when it may go; these rules only take what is left behind.
    lifecycle: [{ id: "remains" }],
    transform: {
      bucket: { forceDestroy: !production },
      lifecycle: (args) => {
        args.rules = [
          {
            id: "remains",
            status: "Enabled",
            filter: { prefix: "" },
            noncurrentVersionExpiration: { noncurrentDays: production ? 30 : 1 },
            expiration: { expiredObjectDeleteMarker: true },
            abortIncompleteMultipartUpload: { daysAfterInitiation: 7 },
          },
        ];
      },
    },
  });
  new aws.s3.BucketServerSideEncryptionConfiguration("BackupsEncryption", {
    bucket: bucket.name,
    rules: [{ applyServerSideEncryptionByDefault: { sseAlgorithm: "aws:kms", kmsMasterKeyId: key.arn }, bucketKeyEnabled: true }],
  });
  return bucket;
}
