import tseslint from "typescript-eslint";

export default tseslint.config(
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/consistent-type-imports": "error",
      // Handlers of one shape may have nothing to await.
      "@typescript-eslint/require-await": "off",
      "no-restricted-syntax": [
        "error",
        // As a named import it is one object, with every language's messages in it: 370 KB of each bundle.
        { selector: "ImportDeclaration[source.value='zod'][importKind='value'] > ImportSpecifier[imported.name='z']", message: "import * as z from \"zod\"" },
        { selector: "MemberExpression[object.name='test'][property.name=/^(only|skip|todo)$/]", message: "no focused or skipped tests" },
        { selector: "MemberExpression[object.name='describe'][property.name=/^(only|skip|todo)$/]", message: "no focused or skipped tests" },
      ],
    },
  },
  // Typed by SST's globals, which the usual project does not know: `npm run types:sst` checks them.
  { files: ["**/*.mjs", "sst.config.ts", "functions/aws/stack/*.ts"], extends: [tseslint.configs.disableTypeChecked], languageOptions: { parserOptions: { projectService: false } } },
);
