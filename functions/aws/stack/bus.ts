/** Where whoever wants to hear of instances makes a rule: source `coffer`, detail-type as in `core/event/README.md`. */
export function createBus() {
  const bus = new sst.aws.Bus("Events");
  return {
    name: bus.name,
    put: [{ actions: ["events:PutEvents"], resources: [bus.arn] }],
  };
}
