/** The package carries no types; what we use of it. It writes into the definition it is given. */
declare module "asl-validator" {
  export default function validate(
    definition: object,
    options: { checkPaths: boolean; checkArn: boolean },
  ): { isValid: boolean; errors: object[]; errorsText: (separator?: string) => string };
}
