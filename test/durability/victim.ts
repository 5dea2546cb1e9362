// A process that merges until it is killed: `bun victim.ts MERGE(JSON) OUT THREADS op N | time MILLISECONDS [force]`.
import { native } from "../../src/native.ts";
import { carryOut, planOf } from "./merges.ts";

const [merge = "", out = "", threads = "", kind = "", when = "", force = ""] = process.argv.slice(2);
const die = () => process.kill(process.pid, "SIGKILL");

const plan = planOf(JSON.parse(merge));
native().configure({ threads: Number(threads) });
if (kind === "time") setTimeout(die, Number(when));
let ended = 0;
await carryOut(
  plan,
  out,
  { force: force === "force" },
  { progress: () => (kind === "op" && ++ended >= Number(when) ? die() : undefined) },
);
