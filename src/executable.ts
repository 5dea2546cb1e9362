/** Where the single executable starts: one file that is every program, by the name that it is called by. */
import { basename } from "node:path";
import { main as sinter } from "./cli.ts";
import { PROGRAMS } from "./commands/programs.ts";

const name = basename(process.argv0);
const args = process.argv.slice(2);

async function run(): Promise<number> {
  const program = Object.hasOwn(PROGRAMS, name) ? PROGRAMS[name] : undefined;
  if (program !== undefined) return await (await program()).main(args);
  return await sinter(args);
}

run().then((code) => process.exit(code));
