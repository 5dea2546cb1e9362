import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findToolchain } from "../../scripts/toolchain.ts";

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

/** A PATH with nothing but these programs: shell scripts by name. */
function pathWith(programs: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), "sinter-toolchain-"));
  folders.push(folder);
  symlinkSync("/bin/sh", join(folder, "sh"));
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, name), 0o755);
  }
  return folder;
}

/** What findToolchain says where only these programs are there; empty where nothing is wrong. */
async function problem(programs: Record<string, string>, CXX?: string): Promise<string> {
  try {
    await findToolchain({ PATH: pathWith(programs), CXX });
    return "";
  } catch (error) {
    return (error as Error).message;
  }
}

const GOOD = {
  cmake: "echo cmake version 3.25.1",
  make: "",
  "c++": "exit 0",
};

describe("a missing tool", () => {
  test("nothing is wrong where all are there", async () => {
    expect(await problem(GOOD)).toBe("");
  });

  test("everything that is missing stands in one line, with the commands that install it", async () => {
    const message = await problem({});
    expect(message).not.toContain("\n");
    for (const part of ["CMake", "C++ compiler", "make", "apt-get install -y cmake make g++", "dnf install"]) {
      expect(message).toContain(part);
    }
  });

  test("a CMake that is too old is named with its version", async () => {
    expect(await problem({ ...GOOD, cmake: "echo cmake version 3.16.3" })).toContain("CMake 3.16.3 is too old");
  });

  test("a compiler that does not know C++20 is named as it names itself", async () => {
    const old = 'case $1 in --version) echo "g++ (GCC) 8.5.0" ;; *) exit 1 ;; esac';
    expect(await problem({ ...GOOD, "c++": old })).toContain("g++ (GCC) 8.5.0 is too old");
  });

  test("a later compiler is taken where the first is too old", async () => {
    expect(await problem({ ...GOOD, "c++": "exit 1", "clang++": "exit 0" })).toBe("");
  });

  test("CXX alone decides where it is set", async () => {
    expect(await problem(GOOD, "icpx")).toContain("CXX names (icpx) is not installed");
  });
});
