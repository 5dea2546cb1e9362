import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { Report, SinterError } from "../errors.ts";
import type { TensorView } from "../model/types.ts";
import type { Addon, NativeError, NativeRows } from "../native.ts";
import { onFile } from "../run/file-error.ts";
import { nativeProblem } from "../run/native-error.ts";
import type { ScratchFolder } from "../run/scratch.ts";
import { encoderOf } from "../tokenizer/encode.ts";
import type { Trained } from "./matrices.ts";
import type { TransplantOptions } from "./methods.ts";
import { matrixOf, storedTokenWeights, type TokenModel } from "./models.ts";
import { cutTokens } from "./pieces.ts";
import type { ApproximationPlan, TransplantPlan } from "./plan.ts";
import type { Token } from "./vocabulary.ts";

export interface TransplantProgress {
  /** The matrix that is worked on. */
  tensor: string;
  /** Steps of all matrices; `total` is 0 until it is known. */
  done: number;
  total: number;
}

/** How long between two looks at how far native code is. */
const LOOK_MS = 100;

/** Opens files natively and closes them all. */
class Handles {
  readonly #addon: Addon;
  readonly #open = new Map<string, number>();

  constructor(addon: Addon) {
    this.#addon = addon;
  }

  matrix(view: TensorView): NativeRows {
    const { offset, dtype, shape } = view;
    return { source: this.#source(view.file), offset, dtype, rows: shape[0] ?? 0, width: shape[1] ?? 1 };
  }

  #source(path: string): number {
    const known = this.#open.get(path);
    if (known !== undefined) return known;
    try {
      const { handle } = this.#addon.openSource(path);
      this.#open.set(path, handle);
      return handle;
    } catch (error) {
      throw new SinterError(nativeProblem(error, { path }));
    }
  }

  close(): void {
    for (const handle of this.#open.values()) this.#addon.close(handle);
    this.#open.clear();
  }
}

/**
 * Computes the rows of all approximations into the scratch file.
 * @throws SinterError for the first failure; nothing is left open.
 */
export async function computeApproximations(
  plan: TransplantPlan,
  original: TokenModel,
  donor: TokenModel,
  options: TransplantOptions,
  scratch: ScratchFolder,
  addon: Addon,
  events: { signal?: AbortSignal | undefined; progress: (progress: TransplantProgress) => void },
): Promise<void> {
  if (plan.approximations.length === 0) return;
  scratch.take();
  const folder = dirname(plan.scratch.path);
  onFile("cannot create the folder", folder, () => mkdirSync(folder, { recursive: true }));
  const handles = new Handles(addon);
  const abort = () => addon.cancel();
  events.signal?.addEventListener("abort", abort, { once: true });
  let sink: number | undefined;
  try {
    sink = addon.createSink(plan.scratch.path, plan.scratch.size);
    for (const [index, approximation] of plan.approximations.entries()) {
      events.signal?.throwIfAborted();
      const matrices = plan.approximations.length;
      const looking = setInterval(() => {
        const [done, total] = addon.transplantProgress();
        const { tensor } = approximation.matrix;
        events.progress({ tensor, done: index * total + done, total: total * matrices });
      }, LOOK_MS);
      try {
        await approximate(approximation, original, donor, options, {
          addon,
          handles,
          sink,
          scratch: plan.scratch.path,
        });
      } finally {
        clearInterval(looking);
      }
    }
  } catch (error) {
    if (events.signal?.aborted) throw events.signal.reason;
    throw error instanceof SinterError ? error : new SinterError(nativeProblem(error, { path: plan.scratch.path }));
  } finally {
    events.signal?.removeEventListener("abort", abort);
    if (sink !== undefined) addon.close(sink);
    handles.close();
  }
}

async function approximate(
  { matrix, offset }: ApproximationPlan,
  original: TokenModel,
  donor: TokenModel,
  options: TransplantOptions,
  { addon, handles, sink, scratch }: { addon: Addon; handles: Handles; sink: number; scratch: string },
): Promise<void> {
  const { shared, targets } = matrix.assignment;
  const batch = options.batch > 0 ? Math.min(options.batch, targets.length) : targets.length;
  const own = handles.matrix(matrix.original);
  const job = {
    method: options.method,
    original: own,
    donor: matrix.donor === undefined ? own : handles.matrix(matrix.donor),
    sharedOriginal: shared.original,
    sharedDonor: shared.donor,
    targets,
    pieces: options.method === "subword" ? piecesOf(matrix, original, donor, options) : undefined,
    originalRotary: matrix.rotary?.original,
    donorRotary: matrix.rotary?.donor,
    k: options.k,
    cosine: options.cosine,
    weightScheme: options.weightScheme,
    batch,
    noise: options.noise,
    scale: options.scale,
    seed: options.seed,
    tensor: matrix.tensor,
    sink,
    offset,
  };
  try {
    await addon.transplant(job);
  } catch (error) {
    const blamed = [matrix.original, matrix.donor][(error as Partial<NativeError>).source ?? -1];
    throw new SinterError(nativeProblem(error, { path: blamed?.file ?? scratch }));
  }
}

function piecesOf(
  matrix: ApproximationPlan["matrix"],
  original: TokenModel,
  donor: TokenModel,
  { subwordMethod }: TransplantOptions,
) {
  const byId = new Map(donor.vocabulary.tokens.map((token) => [token.id, token]));
  const tokens = [...matrix.assignment.targets].map((id) => textOf(byId.get(id) as Token, donor));
  return cutTokens(tokens, original.vocabulary, encoderOf(original.tokenizer), {
    method: subwordMethod,
    rows: matrix.original.shape[0] ?? 0,
    isHead: matrix.role === "head",
  });
}

/** A token with a role is cut by its text: the role says nothing. */
function textOf(token: Token, { vocabulary }: TokenModel): Token {
  if (token.kind !== "role") return token;
  return { ...token, value: Buffer.from(vocabulary.spelling.get(token.id) ?? "", "utf8").toString("latin1") };
}

const UNUSED = /unused_token|reserved_special_token/;

/** Which tokens of both models look trained. @throws SinterError */
export async function findTrained(original: TokenModel, donor: TokenModel, addon: Addon): Promise<Trained> {
  const handles = new Handles(addon);
  try {
    const judge = (model: TokenModel) => {
      const report = new Report();
      const embedding = matrixOf(model, "embedding", report);
      if (embedding === undefined) throw new SinterError(report.errors);
      const head = storedTokenWeights(model).find(({ role, found }) => role === "head" && found.view.shape.length === 2)
        ?.found.view;
      const unused = unusedRows(model, embedding.shape[0] ?? 0);
      return addon.wellTrained(handles.matrix(embedding), head && handles.matrix(head), unused);
    };
    return { original: await judge(original), donor: await judge(donor) };
  } catch (error) {
    throw error instanceof SinterError ? error : new SinterError(nativeProblem(error, {}));
  } finally {
    handles.close();
  }
}

/** Rows that no token has, and those of tokens whose name says that they are not used. */
function unusedRows({ vocabulary }: TokenModel, rows: number): Uint32Array {
  const unused = new Set(Array.from({ length: rows }, (_, row) => row));
  for (const { id } of vocabulary.tokens) if (!UNUSED.test(vocabulary.spelling.get(id) ?? "")) unused.delete(id);
  return Uint32Array.from(unused);
}
