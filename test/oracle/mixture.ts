import type { OracleOp, OracleResult } from "./methods.ts";
import { philox, randomKey } from "./philox.ts";

/** Pieces one behind the other; of each the factor and the noise stand in `params`. */
export function assembled(op: OracleOp): OracleResult {
  const each = op.count / op.inputs.length;
  const values = new Float64Array(op.count);
  const terms = new Float64Array(op.count);
  op.inputs.forEach((input, piece) => {
    const [factor = 1, noise = 0] = op.params.slice(2 * piece);
    const normals = noise === 0 ? undefined : normalNumbers(op, input.stream, each);
    for (let i = 0; i < each; i++) {
      const x = input.values[i] as number;
      const added = normals === undefined ? 0 : noise * (normals[i] as number);
      values[piece * each + i] = factor * (x + added);
      terms[piece * each + i] = Math.abs(factor) * (Math.abs(x) + Math.abs(added));
    }
  });
  return { values, terms, alternatives: new Map(), contested: new Set() };
}

/** Tensors made without an input. */
export function generated(op: OracleOp): OracleResult {
  const values = generatedValues(op);
  // Sines are as exact as the angle, and not relative to themselves: near zero the radius counts.
  const scale = op.kernel === "normal" ? RADIUS * (op.params[0] ?? 0) : 0;
  const terms = values.map((x) => Math.max(Math.abs(x), scale));
  return { values, terms, alternatives: new Map(), contested: new Set() };
}

/** Few pairs of normal numbers lie farther from zero. */
const RADIUS = 4;

function generatedValues({ kernel, params, ...op }: OracleOp): Float64Array {
  const [first = 0, second = 0] = params;
  if (kernel === "constant") return new Float64Array(op.count).fill(first);
  if (kernel === "literal") return Float64Array.from(params);
  if (kernel === "normal") return normalNumbers(op, 0, op.count).map((x) => first * x);
  return Float64Array.from(randomWords(op, 0, op.count), (word) => first + (second - first) * unit(word));
}

/** The method of Box and Muller on pairs of words. */
function normalNumbers(op: Pick<OracleOp, "seed" | "tensor">, stream: number, count: number): Float64Array {
  const words = randomWords(op, stream, count + (count % 2));
  return Float64Array.from({ length: count }, (_, i) => {
    const pair = i - (i % 2);
    const radius = Math.sqrt(-2 * Math.log(unit(words[pair] as number)));
    const angle = 2 * Math.PI * (unit(words[pair + 1] as number) - 0.5);
    return radius * (i % 2 === 0 ? Math.sin(angle) : Math.cos(angle));
  });
}

/** The middle of one of 2^32 intervals. */
function unit(word: number): number {
  return (word + 0.5) / 2 ** 32;
}

function randomWords({ seed, tensor }: Pick<OracleOp, "seed" | "tensor">, stream: number, count: number): number[] {
  const hash = randomKey(seed, tensor);
  const key: [number, number] = [Number(hash & 0xffff_ffffn), Number(hash >> 32n)];
  const words: number[] = [];
  for (let group = 0; words.length < count; group++) words.push(...philox([group, 0, stream, 0], key));
  return words.slice(0, count);
}
