import type { CommandModule } from "../command.ts";
import { writeError } from "../terminal.ts";

/** Evolution of recipes is not there yet: says so whatever the arguments. */
export const main: CommandModule["main"] = async () => {
  writeError(
    "error: mergekit-evolve is not available yet: this version of Sinter merges by given recipes only\n" +
      "  → sinter bench compares methods on your models, and sinter merge carries out the one you choose\n",
  );
  return 2;
};

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
