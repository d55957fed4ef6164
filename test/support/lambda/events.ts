import type { APIGatewayProxyEventV2, SQSEvent, SQSRecord } from "aws-lambda";

export interface HttpAsk {
  method: string;
  /** As the client sends it, with its query. */
  target: string;
  headers?: Record<string, string>;
  body?: string | Buffer;
}

/**
 * What an HTTP API makes of a path, by live captures (see `functions/aws/gateway.ts`): decoded, cut at
 * a `?` that appears, decoded again. Undefined where it answers 400 itself.
 */
export function gatewayPath(sent: string): string | undefined {
  try {
    return decodeURIComponent(decodeURIComponent(sent).split("?")[0] ?? "");
  } catch {
    // A `%` that begins no encoding: the gateway refuses it.
    return undefined;
  }
}

/** An event of an HTTP API with payload 2.0, in the shape of a live capture; undefined where the gateway would not call. */
export function httpEvent({ method, target, headers = {}, body }: HttpAsk): APIGatewayProxyEventV2 | undefined {
  const [path = "", ...query] = target.split("?");
  const rawPath = gatewayPath(path);
  if (rawPath === undefined) return undefined;
  const domainName = "sjzepsqsu5.execute-api.us-west-2.amazonaws.com";
  return {
    version: "2.0",
    routeKey: "$default",
    rawPath,
    rawQueryString: query.join("?"),
    headers: {
      accept: "*/*",
      "content-length": String(body?.length ?? 0),
      host: domainName,
      "user-agent": "python-requests/2.32",
      "x-amzn-trace-id": "Root=1-6a5145a9-1bae89e2512ec92d5d9438a0",
      "x-forwarded-for": "192.0.2.7",
      "x-forwarded-port": "443",
      "x-forwarded-proto": "https",
      ...headers,
    },
    requestContext: {
      accountId: "123456789012",
      apiId: "sjzepsqsu5",
      domainName,
      domainPrefix: "sjzepsqsu5",
      http: { method, path: rawPath, protocol: "HTTP/1.1", sourceIp: "192.0.2.7", userAgent: "python-requests/2.32" },
      requestId: "ATfSmjLgPHcESJw=",
      routeKey: "$default",
      stage: "$default",
      time: "10/Jul/2026:19:19:05 +0000",
      timeEpoch: 1783711145766,
    },
    ...(body !== undefined && { body: body.toString(typeof body === "string" ? undefined : "base64") }),
    isBase64Encoded: body !== undefined && typeof body !== "string",
  };
}

export interface SocketWish {
  connectionId: string;
  /** As the client sends them; only an event of `$connect` has headers. */
  headers?: Record<string, string>;
  body?: string;
}

/** An event of a WebSocket API, in the shape of live captures (gist.github.com/noid11/4aa8933d0b5cdbcc09d377c5d65d28c1, December 2020). */
export function socketEvent(eventType: "CONNECT" | "MESSAGE" | "DISCONNECT", { connectionId, headers = {}, body }: SocketWish) {
  const routeKey = { CONNECT: "$connect", MESSAGE: "$default", DISCONNECT: "$disconnect" }[eventType];
  const domainName = "d0orbe11.execute-api.us-east-1.amazonaws.com";
  const all: Record<string, string> = {
    Host: domainName,
    "Sec-WebSocket-Key": "X/MA+DSRXZ8WnITjBpxm3g==",
    "Sec-WebSocket-Version": "13",
    "X-Amzn-Trace-Id": "Root=1-5fd5ea4b-35d888b22f86c62d26beae28",
    "X-Forwarded-For": "203.0.113.0",
    "X-Forwarded-Port": "443",
    "X-Forwarded-Proto": "https",
    ...headers,
  };
  return {
    ...(eventType === "CONNECT" && { headers: all, multiValueHeaders: Object.fromEntries(Object.entries(all).map(([name, value]) => [name, [value]])) }),
    requestContext: {
      routeKey,
      ...(eventType === "DISCONNECT" && { disconnectStatusCode: 1006, disconnectReason: "" }),
      messageId: "XfGLxfTktjMCFsg=",
      eventType,
      extendedRequestId: "XfGLwFTktjMFsLg=",
      requestTime: "13/Dec/2020:10:17:47 +0000",
      messageDirection: "IN" as const,
      stage: "live",
      connectedAt: 1607854667185,
      requestTimeEpoch: 1607854667186,
      identity: { sourceIp: "203.0.113.0" },
      requestId: "XfGLwFTktjMFsLg=",
      domainName,
      connectionId,
      apiId: "d0orbe11",
    },
    ...(body !== undefined && { body }),
    isBase64Encoded: false,
  };
}

/** A batch of an SQS event source mapping. */
export const sqsEvent = (bodies: { messageId: string; body: string; receives?: number }[]): SQSEvent => ({
  Records: bodies.map(
    ({ messageId, body, receives = 1 }): SQSRecord => ({
      messageId,
      receiptHandle: `receipt-${messageId}`,
      body,
      attributes: {
        ApproximateReceiveCount: String(receives),
        SentTimestamp: "1783711145766",
        SenderId: "AROAEXAMPLE:coffer-api",
        ApproximateFirstReceiveTimestamp: "1783711145800",
      },
      messageAttributes: {},
      md5OfBody: "",
      eventSource: "aws:sqs",
      eventSourceARN: "arn:aws:sqs:us-east-1:123456789012:coffer-operations",
      awsRegion: "us-east-1",
    }),
  ),
});

/** EventBridge Scheduler's call of the sweep. */
export const scheduleEvent = {
  version: "0",
  id: "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
  "detail-type": "Scheduled Event",
  source: "aws.events",
  account: "123456789012",
  time: "2026-11-24T03:00:00Z",
  region: "us-east-1",
  resources: ["arn:aws:events:us-east-1:123456789012:rule/coffer-sweep"],
  detail: {},
};
