import { SinterError } from "../errors.ts";

/** Exit codes as a shell gives them: 128 and the signal's number. */
const EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
type Signal = keyof typeof EXIT_CODES;
const SIGNALS = Object.keys(EXIT_CODES) as Signal[];

/**
 * Runs `body` with an AbortSignal that SIGINT, SIGTERM or SIGHUP sets off; its reason is a SinterError with the exit
 * code. The second of these signals ends the process at once.
 * @param hint what there is to know about what was done until then.
 * @param outcome what it means that the body was stopped.
 */
export async function withSignals<T>(
  body: (signal: AbortSignal) => Promise<T>,
  hint?: string,
  outcome = "the output was not written",
): Promise<T> {
  const controller = new AbortController();
  const onSignal = (signal: Signal) => {
    if (controller.signal.aborted) {
      // Without a listener the signal does what it does to any process: no cleaning up, but at once.
      for (const name of SIGNALS) process.removeAllListeners(name);
      process.kill(process.pid, signal);
    }
    const problem = { code: "interrupted", message: `stopped by ${signal}: ${outcome}`, hint };
    controller.abort(new SinterError(problem, EXIT_CODES[signal]));
  };
  for (const name of SIGNALS) process.on(name, onSignal);
  try {
    return await body(controller.signal);
  } finally {
    for (const name of SIGNALS) process.off(name, onSignal);
  }
}
