import { render } from "#core/workflow/asl";
import { workflows } from "#core/workflow/index";
import type { Entry } from "#functions/aws/stack/function";

/**
 * One state machine per workflow, as `core/workflow/asl.ts` renders it. Plain resources: SST's builder writes
 * JSONata, cannot draw a loop and names a task's timeout wrongly (anomalyco/sst 6247, 6747).
 */
export function createMachines(step: Entry) {
  const role = new aws.iam.Role("MachineRole", {
    assumeRolePolicy: aws.iam.assumeRolePolicyForPrincipal({ Service: "states.amazonaws.com" }),
    inlinePolicies: [
      {
        name: "step",
        policy: aws.iam.getPolicyDocumentOutput({ statements: [{ actions: ["lambda:InvokeFunction"], resources: [step.arn] }] }).json,
      },
    ],
  });
  const machines = Object.values(workflows).map((workflow) => {
    const name = `${$app.name}-${$app.stage}-${workflow.kind}`;
    const title = workflow.kind.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
    const node = new aws.sfn.StateMachine(`${title}Machine`, {
      name,
      roleArn: role.arn,
      definition: step.arn.apply((arn) => JSON.stringify(render(workflow, arn))),
    });
    return { kind: workflow.kind, title, node };
  });
  const arns = machines.map(({ node }) => node.arn);
  return {
    machines,
    /** For COFFER_STATE_MACHINES. */
    json: $util.jsonStringify(Object.fromEntries(machines.map(({ kind, node }) => [kind, node.arn]))),
    /** What a function needs that starts executions. */
    permissions: [
      { actions: ["states:StartExecution"], resources: arns },
      // Executions are named by operations; narrower than those of one machine cannot be said.
      { actions: ["states:DescribeExecution"], resources: arns.map((arn) => arn.apply((arn) => `${arn.replace(":stateMachine:", ":execution:")}:*`)) },
    ],
  };
}
export type Machines = ReturnType<typeof createMachines>["machines"];
