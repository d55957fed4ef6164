/** Set before the first deployment by `sst secret set <name>`; see "Deploying" in README. */
export const secrets = () => ({
  /** 10 hex digits: the name that everything in the cloud carries. */
  installation: new sst.Secret("Installation"),
  /** 64 hex digits: enrolment tokens and the key for sealing are derived from it. */
  rootKey: new sst.Secret("RootKey"),
  /** PEM of the authority that signs the certificates of guests, and its key. */
  caCertificate: new sst.Secret("CaCertificate"),
  caKey: new sst.Secret("CaKey"),
  keystonePassword: new sst.Secret("KeystonePassword"),
  /** Of the roles coffer_app and coffer_system; the migrator gives them to the database. */
  appPassword: new sst.Secret("AppPassword"),
  systemPassword: new sst.Secret("SystemPassword"),
});
export type Secrets = ReturnType<typeof secrets>;
