import { expect, test } from "bun:test";
import { join } from "node:path";
import { PATIENCE } from "../support/patience.ts";

const MERGES = 500;
const WARM_UP = 150;
/** Bytes that the runtime's heap may swing by, whatever happens. */
const SWING = 24e6;

test(
  `${MERGES} merges in one process leave no file open, nothing mapped, and memory flat`,
  async () => {
    const program = join(import.meta.dir, "many-merges.ts");
    const child = Bun.spawn([process.execPath, program, String(MERGES), String(WARM_UP)], { stdout: "pipe" });
    const { grown, open, after } = JSON.parse(await new Response(child.stdout).text());
    expect(await child.exited).toBe(0);
    expect(after).toEqual(open);
    expect(open[1]).toBe(0);
    expect(grown).toBeLessThan(SWING);
  },
  PATIENCE,
);
