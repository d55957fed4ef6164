import type { Entry } from "#functions/aws/stack/function";
import type { Gateway } from "#functions/aws/stack/gateway";
import type { Key } from "#functions/aws/stack/key";
import type { Machines } from "#functions/aws/stack/machines";
import type { Queues } from "#functions/aws/stack/queues";

interface Watched {
  key: Key;
  email: string | undefined;
  queues: Queues;
  machines: Machines;
  gateways: Record<"Api" | "Guest", Gateway>;
  cron: Entry;
}

interface Metric {
  namespace: string;
  metricName: string;
  dimensions?: Record<string, $util.Input<string>>;
  statistic: "Sum" | "Maximum";
}

/** What a person should hear of. Each says what it means and what to look at. */
export function createAlarms({ key, email, queues, machines, gateways, cron }: Watched) {
  const topic = new aws.sns.Topic("Alarms", { kmsMasterKeyId: key.id });
  if (email) new aws.sns.TopicSubscription("AlarmsMail", { topic: topic.arn, protocol: "email", endpoint: email });
  const notify = { alarmActions: [topic.arn], okActions: [topic.arn] };
  const name = (title: string) => `${$app.name}-${$app.stage}-${title}`;

  /** Above zero for `minutes`, of one minute each. */
  const above = (title: string, alarmDescription: string, metric: Metric, minutes = 1, threshold = 0) =>
    new aws.cloudwatch.MetricAlarm(`${title}Alarm`, {
      name: name(title),
      alarmDescription,
      ...metric,
      period: 60,
      evaluationPeriods: minutes,
      datapointsToAlarm: minutes,
      comparisonOperator: "GreaterThanThreshold",
      threshold,
      treatMissingData: "notBreaching",
      ...notify,
    });

  above("DeadLetters", "An operation was not started in five tries. See the log of the queue function, then replay the dead letters.", {
    namespace: "AWS/SQS",
    metricName: "ApproximateNumberOfMessagesVisible",
    dimensions: { QueueName: queues.dead.nodes.queue.name },
    statistic: "Maximum",
  });

  for (const { title, node } of machines) {
    const failure = (metricName: string) => ({ metric: { namespace: "AWS/States", metricName, dimensions: { StateMachineArn: node.arn }, stat: "Sum", period: 60 } });
    new aws.cloudwatch.MetricAlarm(`${title}FailedAlarm`, {
      name: name(`${title}Failed`),
      alarmDescription: "An execution ended while its operation had not: the step function did not answer. The sweep carries the operation on; see the execution's history.",
      metricQueries: [
        { id: "failed", ...failure("ExecutionsFailed") },
        { id: "late", ...failure("ExecutionsTimedOut") },
        { id: "sum", expression: "failed + late", label: "Ended without outcome", returnData: true },
      ],
      evaluationPeriods: 1,
      comparisonOperator: "GreaterThanThreshold",
      threshold: 0,
      treatMissingData: "notBreaching",
      ...notify,
    });
  }

  for (const title of ["Api", "Guest"] as const) {
    above(`${title}Errors`, "Requests are answered 5xx in three minutes on end. See the log of the function by request id.", {
      namespace: "AWS/ApiGateway",
      metricName: "5xx",
      dimensions: { ApiId: gateways[title].nodes.api.id },
      statistic: "Sum",
    }, 3);
  }

  // What only the sweep can see, it counts in its log.
  const counted = (title: string, message: string) => {
    const metricName = name(title);
    new aws.cloudwatch.LogMetricFilter(`${title}Filter`, {
      logGroupName: cron.logs.name,
      pattern: `{ $.message = "${message}" }`,
      metricTransformation: { namespace: "Coffer", name: metricName, value: "$.count" },
    });
    return { namespace: "Coffer", metricName, statistic: "Maximum" as const };
  };
  above("Overdue", "Operations passed their deadline and have no outcome. See their timeline, GET /v1.0/<project>/instances/<id>/operations.", counted("Overdue", "operations are overdue"), 2);
  above("Silent", "Guests have not been heard of for longer than they should. Their databases may serve all the same; see the guest endpoint first.", counted("Silent", "guests are silent"), 5);
  above("EventsLate", "Events wait for more than a quarter of an hour, as the bus does not take them. See the sweep's log, and whether it may put events on the bus.", counted("EventsLate", "events are not taken"), 5);
  above("SweepFailed", "A part of the sweep failed three times on end. Its log says which.", {
    namespace: "Coffer",
    metricName: failures(),
    statistic: "Sum",
  }, 3);

  new aws.cloudwatch.MetricAlarm("SweepAlarm", {
    name: name("Sweep"),
    alarmDescription: "The sweep was not run for five minutes: nothing lost is sent again meanwhile. See the schedule.",
    namespace: "AWS/Lambda",
    metricName: "Invocations",
    dimensions: { FunctionName: cron.name },
    statistic: "Sum",
    period: 60,
    evaluationPeriods: 5,
    comparisonOperator: "LessThanThreshold",
    threshold: 1,
    treatMissingData: "breaching",
    ...notify,
  });
  return topic;

  function failures() {
    const metricName = name("SweepFailed");
    new aws.cloudwatch.LogMetricFilter("SweepFailedFilter", {
      logGroupName: cron.logs.name,
      pattern: '{ $.message = "sweep failed" }',
      metricTransformation: { namespace: "Coffer", name: metricName, value: "1" },
    });
    return metricName;
  }
}
