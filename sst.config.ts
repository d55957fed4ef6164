/*
 * Everything Coffer is on AWS. SST forbids imports at the top of this file; the parts are in `functions/aws/stack`.
 * `npm run types:sst` checks the types, `test/e2e/stack.test.ts` what is made of it.
 */
export default $config({
  app: ({ stage }) => ({
    name: "coffer",
    home: "aws",
    removal: stage === "production" ? "retain" : "remove",
    protect: stage === "production",
    // The version of SST's own platform; without it every deployment asks for the newest.
    providers: { aws: { version: "7.20.0" } },
  }),

  async run() {
    const { stack } = await import("#functions/aws/stack/index");
    return stack(process.env);
  },
});
