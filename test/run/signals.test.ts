import { expect, test } from "bun:test";
import { resolve } from "node:path";

const SIGNALS_MODULE = resolve(import.meta.dir, "../../src/run/signals.ts");

/** A process that, under `withSignals`, waits until it is aborted; `stubborn`: and then for ever. */
function start(stubborn: boolean) {
  const script = `
    import { withSignals } from ${JSON.stringify(SIGNALS_MODULE)};
    const aborted = (signal) => new Promise((_, reject) => {
      signal.addEventListener("abort", () => ${stubborn} ? console.log("aborted") : reject(signal.reason));
      console.log("ready");
    });
    setInterval(() => {}, 1000);
    await withSignals(aborted).catch((error) => { console.log(error.message); process.exit(error.exitCode); });
  `;
  return Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "inherit" });
}

type Reader = { read(): Promise<{ value?: Uint8Array | undefined; done: boolean }> };

async function readUntil(reader: Reader, text: string): Promise<void> {
  for (let seen = ""; !seen.includes(text); ) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`ended after ${JSON.stringify(seen)}`);
    seen += new TextDecoder().decode(value);
  }
}

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const)("%s stops what runs, and the exit code is %d", async (signal, code) => {
  const child = start(false);
  const reader = child.stdout.getReader();
  await readUntil(reader, "ready");
  child.kill(signal);
  await readUntil(reader, `stopped by ${signal}`);
  expect(await child.exited).toBe(code);
});

test("a second SIGINT ends the process at once", async () => {
  const child = start(true);
  const reader = child.stdout.getReader();
  await readUntil(reader, "ready");
  child.kill("SIGINT");
  await readUntil(reader, "aborted");
  child.kill("SIGINT");
  await child.exited;
  expect(child.signalCode).toBe("SIGINT");
});
