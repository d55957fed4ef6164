/**
 * On-demand list prices of us-east-1 without free tiers, US dollars, as of November 2026; first tier only, as 10,000 instances
 * stay inside it. From the public pages aws.amazon.com/{api-gateway,lambda,step-functions,sqs,eventbridge,cloudwatch,
 * rds/postgresql,rds/proxy,vpc,kms,ec2/pricing/on-demand}/pricing: those of API Gateway and db.t4g read again for this
 * table, the others written down from memory. To be compared with the pages before a budget is made of them.
 */
export const PRICED = "November 2026, us-east-1";

export const HOURS = 730;
const million = 1e6;
const GB = 1e9;

export const price = {
  httpRequest: 1 / million,
  socketMessage: 1 / million,
  connectionMinute: 0.25 / million,
  invocation: 0.2 / million,
  /** Arm. */
  gbSecond: 0.0000133334,
  transition: 25 / million,
  sqsRequest: 0.4 / million,
  schedule: 1 / million,
  logByte: 0.5 / GB,
  outByte: 0.09 / GB,
  natByte: 0.045 / GB,
} as const;

/** Dollars a month for a fleet of so many, whatever it does; sizes as the stack's stages have them, larger ones with the fleet. */
export function fixed(instances: number): Record<string, number> {
  const production = instances > 100;
  return {
    // db.t4g.micro with 20 GB; db.t4g.medium in two zones with 100 GB.
    "database (RDS)": production ? 2 * 0.065 * HOURS + 100 * 0.23 : 0.016 * HOURS + 20 * 0.115,
    "database proxy, 2 vCPU": 2 * 0.015 * HOURS,
    // A managed gateway in each of two zones, or a t4g.nano instead; each with a public address.
    "NAT, 2 zones": 2 * ((production ? 0.045 : 0.0042) + 0.005) * HOURS,
    "key, 15 alarms": 1 + 15 * 0.1,
  };
}
