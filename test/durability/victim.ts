// A process that merges until it is killed: `bun victim.ts MERGE(JSON) OUT THREADS op N | time MILLISECONDS`.
import { native } from "../../src/native.ts";
import { carryOut, planOf } from "./merges.ts";

const [merge = "", out = "", threads = "", kind = "", when = ""] = process.argv.slice(2);
const die = () => process.kill(process.pid, "SIGKILL");

const plan = planOf(JSON.parse(merge));
native().configure({ threads: Number(threads) });
if (kind === "time") setTimeout(die, Number(when));
let ended = 0;
await carryOut(plan, out, {}, { progress: () => (kind === "op" && ++ended >= Number(when) ? die() : undefined) });
