import { dlopen } from "bun:ffi";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSolver, solverDevice } from "../../src/commands/solver.ts";
import { native } from "../../src/native.ts";
import { PATIENCE } from "../support/patience.ts";
import { decompose, optimum, residual, spectra, withSpectrum } from "./decompositions.ts";
import { buildFakes, CAN_BUILD, type FakeMode } from "./fake-cusolver/build.ts";

/** A stand-in on the CPU: see fake-cusolver/library.cc. No device is there. */
const folder = mkdtempSync(join(tmpdir(), "sinter-cusolver-"));
beforeAll(async () => {
  if (CAN_BUILD) await buildFakes(folder);
}, PATIENCE);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const open = (mode: FakeMode, device = 0) => native().openSolver(join(folder, mode), device);

const SIZES: [number, number][] = [
  [160, 130],
  [96, 200],
];

describe.skipIf(!CAN_BUILD)("a decomposition by cuSOLVER", () => {
  test.each(spectra)("is within 1 %% of the best there is: %s singular values", async (_, spectrum) => {
    expect(open("works")).toBe("cuSOLVER 11.6.4, CUDA 12.4, device 0");
    for (const [rows, columns] of SIZES) {
      for (const transposed of [false, true]) {
        const matrix = withSpectrum(rows, columns, spectrum, rows);
        const asked = transposed
          ? Float64Array.from(matrix, (__, at) => matrix[(at % rows) * columns + Math.floor(at / rows)] as number)
          : matrix;
        const shape: [number, number] = transposed ? [columns, rows] : [rows, columns];
        const decomposed = await decompose(asked, shape, { rank: 8, transposed, onDevice: true });
        expect(decomposed.found).toMatchObject({ rank: 8, onDevice: true });
        expect(decomposed.found.refused).toBeUndefined();
        const least = optimum(spectrum, 8, Math.min(rows, columns));
        const norm = optimum(spectrum, 0, Math.min(rows, columns));
        expect(residual(matrix, decomposed)).toBeLessThan(1.01 * least + 1e-5 * norm);
        // What is said of the energy is what the factors hold.
        const { energy, kept } = decomposed.found;
        expect(Math.abs(Math.sqrt(Math.max(0, energy - kept)) - residual(matrix, decomposed))).toBeLessThan(
          1e-3 * norm,
        );
      }
    }
  });

  test("goes on until the residual settles, and leaves nothing in the device's memory", async () => {
    open("works");
    const library = dlopen(join(folder, "works", "libcusolver.so.11"), {
      fake_allocations: { returns: "i32" },
      fake_iterations: { returns: "i32" },
    });
    const matrix = withSpectrum(160, 130, (i) => 1 / (1 + i) ** 0.5, 4);
    await Promise.all([1, 2, 3].map(() => decompose(matrix, [160, 130], { rank: 8, onDevice: true })));
    expect(library.symbols.fake_iterations()).toBeGreaterThan(2);
    expect(library.symbols.fake_allocations()).toBe(0);
    library.close();
  });

  test("keeps the ranks that a share of the energy says", async () => {
    open("works");
    const matrix = withSpectrum(160, 130, (i) => 2 ** -i, 5);
    const asked = { rank: 20, share: 0.99, onDevice: true };
    const { found } = await decompose(matrix, [160, 130], asked);
    expect(found).toMatchObject({
      onDevice: true,
      rank: (await decompose(matrix, [160, 130], { ...asked, onDevice: false })).found.rank,
    });
    expect(found.rank).toBeLessThan(20);
  });

  test("leaves small matrices to the CPU", async () => {
    open("works");
    const matrix = withSpectrum(40, 33, (i) => 1 / (1 + i), 6);
    expect((await decompose(matrix, [40, 33], { rank: 8, onDevice: true })).found).toMatchObject({
      onDevice: false,
      iterations: 0,
    });
  });

  const failures: [FakeMode, RegExp][] = [
    ["fails", /^cuSOLVER: status 6 while decomposing$/],
    ["no_memory", /^CUDA: out of memory while taking memory for a matrix$/],
    ["not_finite", /^cuSOLVER: its answer holds a NaN or an infinity$/],
    ["wrong_vectors", /^cuSOLVER: its vectors leave more than its singular values say$/],
  ];
  test.each(failures)("that goes wrong (%s) is done on the CPU, to the bit, and says why", async (mode, reason) => {
    open(mode);
    const matrix = withSpectrum(160, 130, (i) => 1 / (1 + i), 7);
    const { found, a, b } = await decompose(matrix, [160, 130], { rank: 8, onDevice: true });
    const own = await decompose(matrix, [160, 130], { rank: 8 });
    expect(found.onDevice).toBe(false);
    expect(found.refused).toMatch(reason);
    expect([a, b]).toEqual([own.a, own.b]);
  });

  const absences: [FakeMode, number, string][] = [
    ["no_device", 0, "CUDA says: no CUDA-capable device is detected"],
    ["works", 3, "there is no device 3: CUDA sees 1"],
    ["old_version", 0, "cuSOLVER 10.6.4 is there, and versions 11 and 12 are known"],
  ];
  test.each(absences)("is refused in one line where it is not there: %s, device %d", (mode, device, message) => {
    expect(() => open(mode, device)).toThrow(expect.objectContaining({ code: "NO_SOLVER", message }));
  });
});

describe.skipIf(!CAN_BUILD)("the libraries of cuSOLVER", () => {
  const at = (...names: string[]) => names.map((name) => join(folder, name)).join(":");

  test("may lie in several folders, of which some have none", () => {
    expect(native().openSolver(`:${at("nowhere", "works")}:`, 0)).toBe("cuSOLVER 11.6.4, CUDA 12.4, device 0");
  });

  test.each(["no_device", "too_new", "old_version"])(
    "that do not work with the driver (%s) are passed over",
    (mode) => {
      expect(native().openSolver(at(mode, "works"), 0)).toBe("cuSOLVER 11.6.4, CUDA 12.4, device 0");
      expect(() => native().openSolver(at(mode, "nowhere"), 0)).toThrow();
    },
  );

  test("that lack what they need say what that is", async () => {
    const broken = join(folder, "broken");
    mkdirSync(broken);
    copyFileSync(join(folder, "works", "libcusolver.so.11"), join(broken, "libcudart.so.12"));
    const needed = join(broken, "libneeded.so");
    writeFileSync(join(broken, "empty.cc"), "");
    const build = async (...args: string[]) => {
      const child = Bun.spawn(["c++", "-shared", "-o", ...args], { cwd: broken, stderr: "inherit" });
      expect(await child.exited).toBe(0);
    };
    await build(needed, "empty.cc");
    await build("libcusolver.so.12", "empty.cc", "-Wl,--no-as-needed", "-L.", "-lneeded");
    rmSync(needed);
    const file = join(broken, "libcusolver.so.12");
    expect(() => native().openSolver(broken, 0)).toThrow(
      expect.objectContaining({
        code: "NO_SOLVER",
        message: expect.stringContaining(`${file} does not load: libneeded.so: `),
      }),
    );
    expect(native().openSolver(`${broken}:${at("works")}`, 0)).toBe("cuSOLVER 11.6.4, CUDA 12.4, device 0");
  });
});

describe("the device of an extraction", () => {
  test("is the CPU unless CUDA is asked for", () => {
    expect(["cpu", "auto", "", undefined].map((name) => solverDevice(name))).toEqual(Array(4).fill(undefined));
    expect(["cuda", "cuda:0", "cuda:3"].map((name) => solverDevice(name))).toEqual([0, 0, 3]);
    expect([solverDevice(undefined, true), solverDevice("cuda:2", true)]).toEqual([0, 2]);
    for (const name of ["gpu", "cuda:", "cuda:x", "xpu", "cudax"])
      expect(() => solverDevice(name)).toThrow("no device");
  });

  test.skipIf(!CAN_BUILD)("that is not there is a problem of one line", () => {
    process.env.SINTER_CUDA_LIBRARIES = join(folder, "no_device");
    try {
      expect(() => openSolver(native(), 0)).toThrow(
        "there is no cuSOLVER to decompose with: CUDA says: no CUDA-capable device is detected",
      );
    } finally {
      delete process.env.SINTER_CUDA_LIBRARIES;
    }
  });
});
