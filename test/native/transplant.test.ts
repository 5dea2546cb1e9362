import { describe, expect, test } from "bun:test";
import type { FloatDtype } from "../../src/model/dtype.ts";
import { mean, type Rows } from "../oracle/linear.ts";
import {
  combine,
  neighbours,
  normal,
  pursue,
  pursueTurned,
  rotate,
  sampleLike,
  throughBasis,
  wellTrained,
} from "../oracle/transplant.ts";
import { type Bench, judge, makeBench, transplant } from "./transplants.ts";
import { numbers } from "./workbench.ts";

/** Largest difference as a share of the largest value. */
function distance(ours: Rows, truth: Rows): number {
  let [worst, most] = [0, 0];
  truth.forEach((row, r) => {
    row.forEach((value, i) => {
      worst = Math.max(worst, Math.abs(value - (ours[r]?.[i] ?? Number.NaN)));
      most = Math.max(most, Math.abs(value));
    });
  });
  return ours.length === truth.length ? worst / most : Number.NaN;
}

/** What rounding to the output's dtype, and products in float32, may cost. */
const TOLERANCE: Record<FloatDtype, number> = { F64: 1e-6, F32: 1e-6, F16: 1e-3, BF16: 6e-3 };

const shared = ({ donor, original, sharedDonor, sharedOriginal, targets }: Bench) => ({
  donor: sharedDonor.map((i) => donor[i] as Float64Array),
  original: sharedOriginal.map((i) => original[i] as Float64Array),
  targets: targets.map((i) => donor[i] as Float64Array),
});

describe("orthogonal matching pursuit", () => {
  for (const dtype of ["F32", "BF16", "F16", "F64"] as const) {
    test(`finds what brute force finds, in ${dtype}`, async () => {
      const bench = makeBench({ dtype, shared: 300, targets: 9, widths: [24, 17] });
      const { donor, original, targets } = shared(bench);
      const ours = await transplant(bench, { method: "omp", k: 6 });
      const truth = targets.map((target) => combine(pursue(target, donor, 6), original));
      expect(distance(ours, truth)).toBeLessThan(TOLERANCE[dtype]);
    });
  }

  test("crosses the blocks of the products: depth 256, tiles of 256 points, blocks of 96 targets", async () => {
    const bench = makeBench({ shared: 520, targets: 100, widths: [261, 5] });
    const { donor, original, targets } = shared(bench);
    const ours = await transplant(bench, { method: "omp", k: 3 });
    for (const t of [0, 95, 96, 99]) {
      const truth = combine(pursue(targets[t] as Float64Array, donor, 3), original);
      expect(distance([ours[t] as Float64Array], [truth])).toBeLessThan(1e-5);
    }
  });

  test("does not depend on the batches", async () => {
    const bench = makeBench({ targets: 23 });
    const whole = await transplant(bench, { method: "omp" });
    expect(await transplant(bench, { method: "omp", batch: 5 })).toEqual(whole);
  });

  test("a target that is the longest of the points is that point", async () => {
    const bench = makeBench();
    const longest = bench.sharedDonor[3] as number;
    const donor = bench.donor.map((row, i) => (i === longest ? row.map((value) => 16 * value) : row));
    const same = { ...bench, donor, targets: [longest] };
    const ours = await transplant(same, { method: "omp", k: 8 });
    expect(distance(ours, [bench.original[bench.sharedOriginal[3] as number] as Float64Array])).toBeLessThan(1e-6);
  });

  test("more terms than dimensions give the target exactly, and no noise", async () => {
    const bench = makeBench({ widths: [6, 6], shared: 30, targets: 4 });
    const itself = { ...bench, original: bench.donor, sharedOriginal: bench.sharedDonor };
    const ours = await transplant(itself, { method: "omp", k: 20 });
    expect(distance(ours, shared(bench).targets)).toBeLessThan(1e-6);
  });

  test("equal points are taken once, and rows of zeros never", async () => {
    const bench = makeBench({ shared: 20, targets: 3, widths: [8, 8] });
    const donor = bench.donor.map((row, i) =>
      i < 5 ? new Float64Array(8) : i < 10 ? (bench.donor[12] as Float64Array) : row,
    );
    const ours = await transplant({ ...bench, donor }, { method: "omp", k: 12 });
    for (const row of ours) for (const value of row) expect(Math.abs(value)).toBeLessThan(20);
  });
});

describe("interpolation between neighbours", () => {
  const schemes = ["distance_proportional", "barycentric", "least_squares"];
  for (const cosine of [false, true]) {
    for (const scheme of schemes) {
      test(`${scheme} by ${cosine ? "cosine" : "distance"}`, async () => {
        const bench = makeBench({ shared: 300, targets: 9, widths: [24, 17] });
        const { donor, original, targets } = shared(bench);
        const ours = await transplant(bench, { method: "common_interpolation", k: 5, cosine, weightScheme: scheme });
        const truth = targets.map((target) => combine(neighbours(target, donor, 5, { cosine, scheme }), original));
        expect(distance(ours, truth)).toBeLessThan(1e-6);
      });
    }
  }

  test("more neighbours than dimensions: the shortest of all weights that fit", async () => {
    const bench = makeBench({ shared: 30, targets: 3, widths: [5, 5] });
    for (const weightScheme of ["barycentric", "least_squares"]) {
      const itself = { ...bench, original: bench.donor, sharedOriginal: bench.sharedDonor };
      const ours = await transplant(itself, { method: "common_interpolation", k: 12, weightScheme });
      expect(distance(ours, shared(bench).targets)).toBeLessThan(1e-6);
    }
  });
});

describe("maps from landmarks", () => {
  for (const [donor, original] of [
    [10, 10],
    [14, 10],
    [10, 14],
  ] as const) {
    test(`landmark_pca turns ${donor} dimensions into ${original}`, async () => {
      const bench = makeBench({ widths: [donor, original], shared: 60 });
      const ours = await transplant(bench, { method: "landmark_pca" });
      expect(distance(ours, rotate(shared(bench)))).toBeLessThan(1e-5);
    });

    test(`stb carries ${donor} dimensions over to ${original}`, async () => {
      const bench = makeBench({ widths: [donor, original], shared: 60 });
      const ours = await transplant(bench, { method: "stb", k: 5 });
      expect(distance(ours, throughBasis(shared(bench), 5, bench))).toBeLessThan(1e-4);
    });
  }

  test("landmark_pca undoes a rotation", async () => {
    const bench = makeBench({ widths: [2, 2], shared: 20 });
    const turned = bench.donor.map((row) => Float64Array.of(-(row[1] as number) + 3, row[0] as number));
    const rotated = { ...bench, original: turned, sharedOriginal: bench.sharedDonor };
    const ours = await transplant(rotated, { method: "landmark_pca" });
    expect(
      distance(
        ours,
        bench.targets.map((i) => turned[i] as Float64Array),
      ),
    ).toBeLessThan(1e-6);
  });
});

test("mp_rope turns points by rotary positions", async () => {
  const bench = makeBench({ widths: [16, 24], shared: 80 });
  const donorRotary = { heads: 2, base: 10_000 };
  const originalRotary = { heads: 3, base: 500_000 };
  const { donor, original, targets } = shared(bench);
  const ours = await transplant(bench, { method: "mp_rope", k: 4, donorRotary, originalRotary });
  const truth = targets.map((target) =>
    pursueTurned(target, donor, original, 4, { donor: donorRotary, original: originalRotary }),
  );
  expect(distance(ours, truth)).toBeLessThan(1e-4);
});

describe("rows without the donor", () => {
  test("zero, mean", async () => {
    const bench = makeBench();
    const ours = await transplant(bench, { method: "zero" });
    expect(ours.every((row) => row.every((value) => value === 0))).toBe(true);
    const centre = mean(bench.original);
    const means = await transplant(bench, { method: "mean" });
    expect(
      distance(
        means,
        bench.targets.map(() => centre),
      ),
    ).toBeLessThan(1e-7);
  });

  test("randn draws by seed, tensor and token, whatever the batches", async () => {
    const bench = makeBench();
    const width = bench.original[0]?.length as number;
    const truth = bench.targets.map((id) =>
      Float64Array.from({ length: width }, (_, i) => normal(7, "lm_head.weight", 1, id * width + i)),
    );
    const job = { method: "randn", seed: 7, tensor: "lm_head.weight" };
    const ours = await transplant(bench, job);
    expect(distance(ours, truth)).toBeLessThan(1e-6);
    expect(await transplant(bench, { ...job, batch: 2 })).toEqual(ours);
  });

  test("john_hewitt has the rows' mean and covariance", async () => {
    const bench = makeBench({ shared: 60 });
    const ours = await transplant(bench, { method: "john_hewitt", seed: 3 });
    expect(distance(ours, sampleLike(bench.original, bench.targets, 3, "w"))).toBeLessThan(1e-5);
  });

  test("john_hewitt keeps a direction without variance", async () => {
    const bench = makeBench();
    const original = bench.original.map((row) => row.map((value, i) => (i === 2 ? 0.25 : value)));
    const ours = await transplant({ ...bench, original }, { method: "john_hewitt" });
    for (const row of ours) expect(row[2]).toBeCloseTo(0.25, 5);
    expect(new Set(ours.map((row) => row[0])).size).toBe(ours.length);
  });

  test("subword adds up weighted rows", async () => {
    const bench = makeBench({ targets: 2 });
    const pieces = { ends: Uint32Array.of(2, 2), rows: Uint32Array.of(4, 9), weights: Float64Array.of(0.25, 2) };
    const [first, second] = await transplant(bench, { method: "subword", pieces });
    const truth = combine({ points: [4, 9], weights: pieces.weights }, bench.original);
    expect(distance([first as Float64Array], [truth])).toBeLessThan(1e-6);
    expect(second?.every((value) => value === 0)).toBe(true);
  });

  test("noise is added, then the scale applied", async () => {
    const bench = makeBench();
    const plain = await transplant(bench, { method: "omp" });
    const ours = await transplant(bench, { method: "omp", noise: 0.5, scale: -2, seed: 5 });
    const truth = plain.map((row, t) =>
      row.map((value, i) => -2 * (value + 0.5 * normal(5, "w", 2, (bench.targets[t] as number) * row.length + i))),
    );
    expect(distance(ours, truth)).toBeLessThan(1e-6);
  });
});

test("untrained rows are those of short norm and those like unused ones", async () => {
  const { list } = numbers(11);
  const embedding = Array.from({ length: 250 }, (_, i) =>
    list(8, i < 3 ? 0.01 : 1).map((x) => (i > 240 ? x * 0.1 + 1 : x)),
  );
  const head = Array.from({ length: 250 }, (_, i) => list(8).map((x) => (i > 244 ? x * 0.1 - 1 : x)));
  const unused = [248, 249];
  const held = (rows: Rows) => rows.map((row) => Float64Array.from(Float32Array.from(row)));
  const [e, h] = [held(embedding), held(head)];
  expect(await judge(e, h, unused)).toEqual(wellTrained(e, h, unused));
  expect(await judge(e, undefined, unused)).toEqual(wellTrained(e, undefined, unused));
  expect(await judge(e, h, [])).toEqual(wellTrained(e, h, []));
  expect((await judge(e, h, unused)).filter((trained) => !trained).length).toBeGreaterThan(3);
});

describe("jobs that do not fit are refused", () => {
  const cases: [string, Bench, { method: string } & Record<string, unknown>][] = [
    ["k beyond the shared tokens", makeBench({ shared: 5 }), { method: "omp", k: 6 }],
    ["no shared tokens", makeBench({ shared: 0 }), { method: "landmark_pca" }],
    ["a row that is not there", { ...makeBench(), targets: [99_999] }, { method: "omp" }],
    [
      "heads that do not divide",
      makeBench(),
      { method: "mp_rope", donorRotary: { heads: 5, base: 1e4 }, originalRotary: { heads: 2, base: 1e4 } },
    ],
    ["an unknown method", makeBench(), { method: "magic" }],
    [
      "pieces that are missing",
      makeBench(),
      { method: "subword", pieces: { ends: Uint32Array.of(1), rows: Uint32Array.of(0), weights: Float64Array.of(1) } },
    ],
  ];
  for (const [what, bench, job] of cases) {
    test(what, async () => {
      const failure = await transplant(bench, job).then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(failure).toMatchObject({ code: "BAD_ARGUMENT" });
    });
  }
});
