/*
 * What AWS would say, as far as other resources of the stack depend on it. Names in it follow the rules of
 * AWS, so that what is put together of them can be compared.
 */
const region = "eu-central-1";
const account = "123456789012";
const arn = (service, rest) => `arn:aws:${service}:${region}:${account}:${rest}`;

/** Attributes that only exist once a resource does: type, logical name, inputs -> outputs. */
export function stateOf(type, name, inputs) {
  const physical = inputs.name ?? name;
  switch (type) {
    case "aws:lambda/function:Function":
      return { name: physical, arn: arn("lambda", `function:${physical}`), invokeArn: arn("apigateway", `lambda:path/${physical}`), publish: inputs.publish ?? false };
    case "aws:sqs/queue:Queue":
      return { name: physical, arn: arn("sqs", physical), url: `https://sqs.${region}.amazonaws.com/${account}/${physical}` };
    case "aws:sfn/stateMachine:StateMachine":
      return { arn: arn("states", `stateMachine:${physical}`) };
    case "aws:cloudwatch/logGroup:LogGroup":
      return { arn: arn("logs", `log-group:${physical}`) };
    case "aws:cloudwatch/eventBus:EventBus":
      return { name: physical, arn: arn("events", `event-bus/${physical}`) };
    case "aws:apigatewayv2/api:Api":
      return { apiEndpoint: `https://${name.toLowerCase()}.execute-api.${region}.amazonaws.com`, executionArn: arn("execute-api", name) };
    case "aws:rds/instance:Instance":
      return { identifier: name, address: `${name.toLowerCase()}.rds.amazonaws.com`, endpoint: `${name.toLowerCase()}.rds.amazonaws.com:5432`, port: 5432 };
    case "aws:rds/proxy:Proxy":
      return { endpoint: `${name.toLowerCase()}.proxy.rds.amazonaws.com`, name };
    case "aws:s3/bucket:Bucket":
      return { bucket: name.toLowerCase(), arn: `arn:aws:s3:::${name.toLowerCase()}` };
    case "aws:kms/key:Key":
      return { arn: arn("kms", `key/${name}`), keyId: name };
    case "random:index/randomPassword:RandomPassword":
      return { result: "generated/owner+password" };
    case "random:index/randomBytes:RandomBytes":
      return { base64: Buffer.alloc(inputs.length).toString("base64") };
    default:
      return { arn: arn(type.split(":")[1].split("/")[0], physical) };
  }
}

/** Look-ups: token, arguments -> answer. */
export function answer(token, inputs) {
  switch (token) {
    case "aws:index/getPartition:getPartition":
      return { partition: "aws", dnsSuffix: "amazonaws.com" };
    case "aws:index/getRegion:getRegion":
      return { region, name: region, id: region };
    case "aws:index/getCallerIdentity:getCallerIdentity":
      return { accountId: account };
    case "aws:index/getAvailabilityZones:getAvailabilityZones":
      return { names: ["a", "b", "c"].map((zone) => region + zone) };
    case "aws:ec2/getAmi:getAmi":
      return { id: "ami-00000000" };
    case "aws:iam/getPolicyDocument:getPolicyDocument":
      return { statements: inputs.statements, json: JSON.stringify(inputs) };
    default:
      throw new Error(`nothing answers ${token}`);
  }
}
