import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { ROOT } from "../../scripts/paths.ts";
import { inFolder } from "./workbench.ts";

const COMPILER = Bun.which("aarch64-linux-gnu-g++");
const EMULATOR = Bun.which("qemu-aarch64");

test.skipIf(COMPILER === null || EMULATOR === null)("arm64's own instructions give the standard's hashes", async () => {
  await inFolder((folder) => {
    const program = join(folder, "vectors");
    const sources = ["test/native/sha256-vectors.cc", "native/numeric/sha256.cc"].map((path) => join(ROOT, path));
    const flags = ["-std=c++20", "-O2", "-static", "-Wall", "-Wextra", "-Werror", `-I${join(ROOT, "native")}`];
    const built = Bun.spawnSync([COMPILER ?? "", ...flags, ...sources, "-o", program]);
    expect(built.stderr.toString()).toBe("");
    const out = Bun.spawnSync([EMULATOR ?? "", "-cpu", "max", program]).stdout.toString();
    const bytes = Buffer.alloc(100_003);
    for (let i = 0; i < bytes.length; i++) bytes[i] = Math.imul(i, 2654435761) >>> 13;
    const lengths = [0, 1, 55, 56, 63, 64, 65, 127, 128, 129, 1000, 100_003];
    const hashes = lengths.map((length) => createHash("sha256").update(bytes.subarray(0, length)).digest("hex"));
    expect(out).toBe(["1", ...hashes.map((hash) => hash + hash), ""].join("\n"));
  });
});
