import type { Common, Entry } from "#functions/aws/stack/function";

/** An HTTP API whose every request goes to one function. Requests over `perSecond` get 429. */
export function createGateway(title: "Api" | "Guest", entry: Entry, { production }: Common, perSecond: number) {
  const gateway = new sst.aws.ApiGatewayV2(`${title}Gateway`, {
    cors: false,
    accessLog: { retention: production ? "3 months" : "1 week" },
    transform: {
      stage: { defaultRouteSettings: { throttlingRateLimit: perSecond, throttlingBurstLimit: 2 * perSecond } },
      // Its log is written by the account's delivery; paths hold names, and no secret.
      api: { description: `${$app.name} ${$app.stage} ${title}` },
    },
  });
  gateway.route("$default", entry.arn as unknown as $util.Input<string>);
  return gateway;
}
export type Gateway = ReturnType<typeof createGateway>;
