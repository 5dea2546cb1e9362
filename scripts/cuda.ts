import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { BUILD_DIR } from "./paths.ts";
import { SetupError } from "./setup-error.ts";

/** What the last `bun run build --cuda` asked for, so that a later build keeps it. */
const CHOICE = join(BUILD_DIR, "cuda");

const LEAST_TOOLKIT = "12.4.0";

/** Where toolkits install their compiler when they do not put it on the PATH. */
const USUAL_NVCC = "/usr/local/cuda/bin/nvcc";

const NONE = "none";

/** libsinter_cuda in a build. */
export interface CudaBuild {
  builds: boolean;
  /** CMake definitions. */
  defines: readonly string[];
  /** Whether somebody asked for it: where nobody did, a build without it will do. */
  asked: boolean;
}

/** CMake remembers definitions: off has to be said. */
export const WITHOUT: CudaBuild = { builds: false, defines: ["SINTER_CUDA=OFF"], asked: false };

/** For devices of all kinds, as releases have it. */
export const ALL_DEVICES: CudaBuild = buildFor("", true);

/** What a build finds. */
export interface CudaMachine {
  /** Keeps what the last build was asked for. */
  choice: string;
  /** Of the toolkit's compiler; undefined where there is none. */
  toolkit(): string | undefined;
  hasDevice(): boolean;
}

const THIS_MACHINE: CudaMachine = { choice: CHOICE, toolkit: toolkitVersion, hasDevice };

/**
 * Whether and for which devices to build libsinter_cuda. `--cuda` builds it for all, `--cuda=90` for devices of compute
 * capability 9.0, `--no-cuda` does not; later builds keep to that. Else it is built for the device of this machine, where
 * a toolkit and a device are both there.
 * @throws SetupError where it is asked for and no toolkit is there.
 */
export function cudaBuild(args: readonly string[], machine = THIS_MACHINE): CudaBuild {
  const wanted = choice(args, machine.choice);
  if (wanted === NONE) return { ...WITHOUT, asked: true };
  if (wanted === undefined) return hasToolkit(machine) && machine.hasDevice() ? buildFor("native", false) : WITHOUT;
  const version = machine.toolkit();
  if (version === undefined) {
    throw new SetupError(`--cuda needs nvcc, of CUDA ${LEAST_TOOLKIT} or newer, on the PATH or in /usr/local/cuda`);
  }
  if (!isNewEnough(version)) throw new SetupError(`--cuda needs CUDA ${LEAST_TOOLKIT} or newer, this is ${version}`);
  return buildFor(wanted, true);
}

/** "": all devices; `NONE`; undefined: nobody said. */
function choice(args: readonly string[], file: string): string | undefined {
  const last = args.findLast((arg) => arg === "--cuda" || arg.startsWith("--cuda=") || arg === "--no-cuda");
  if (last === undefined) return existsSync(file) ? readFileSync(file, "utf8") : undefined;
  const wanted = last === "--no-cuda" ? NONE : last.slice("--cuda=".length);
  if (!/^(\d+(-real|-virtual)?(;\d+(-real|-virtual)?)*|native|none)?$/.test(wanted)) {
    throw new SetupError(`--cuda=${wanted}: which devices is said as 90, as 80;90, or as native`);
  }
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, wanted);
  return wanted;
}

function buildFor(devices: string, asked: boolean): CudaBuild {
  return { builds: true, defines: ["SINTER_CUDA=ON", `SINTER_CUDA_ARCHITECTURES=${devices}`], asked };
}

/** Whether there is a toolkit that can build it. */
export function hasToolkit(machine = THIS_MACHINE): boolean {
  const version = machine.toolkit();
  return version !== undefined && isNewEnough(version);
}

/** Containers have the nodes of those devices that they were given: not always the first one. */
function hasDevice(): boolean {
  return readdirSync("/dev").some((name) => /^nvidia\d+$/.test(name));
}

/** As 13.0.48. */
export function toolkitVersion(): string | undefined {
  const nvcc = Bun.which("nvcc") ?? (existsSync(USUAL_NVCC) ? USUAL_NVCC : undefined);
  if (nvcc === undefined) return undefined;
  const { stdout } = Bun.spawnSync([nvcc, "--version"], { stderr: "ignore" });
  return /release \d+\.\d+, V(\d+\.\d+\.\d+)/.exec(stdout.toString())?.[1];
}

function isNewEnough(version: string): boolean {
  return Bun.semver.order(version, LEAST_TOOLKIT) >= 0;
}
