/** Writes what is made from declarations: docs/methods.md, docs/configuration.md, docs/error-codes.md and schemas/. `bun run docs` */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SCHEMAS, schemaText } from "../src/schema/index.ts";
import { CONFIGURATION_DOC, configurationDoc } from "./configuration-doc.ts";
import { ERROR_CODES_DOC, errorCodesDoc } from "./error-codes.ts";
import { METHODS_DOC, methodsDoc } from "./methods-doc.ts";
import { ROOT } from "./paths.ts";

writeFileSync(METHODS_DOC, methodsDoc());
writeFileSync(CONFIGURATION_DOC, configurationDoc());
writeFileSync(ERROR_CODES_DOC, errorCodesDoc());
mkdirSync(join(ROOT, "schemas"), { recursive: true });
for (const name of Object.keys(SCHEMAS)) {
  if (name !== "architecture") writeFileSync(join(ROOT, "schemas", `${name}.schema.json`), schemaText(name));
}
