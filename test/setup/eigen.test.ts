import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findEigen } from "../../scripts/eigen.ts";

const root = mkdtempSync(join(tmpdir(), "sinter-eigen-"));
afterAll(() => rmSync(root, { recursive: true }));

/** A folder of headers that says it is this version. */
function headers(name: string, [world, major, minor]: [number, number, number]): string {
  const folder = join(root, name);
  mkdirSync(join(folder, "Eigen/src/Core/util"), { recursive: true });
  writeFileSync(
    join(folder, "Eigen/src/Core/util/Macros.h"),
    `#define EIGEN_WORLD_VERSION ${world}\n#define EIGEN_MAJOR_VERSION ${major}\n#define EIGEN_MINOR_VERSION ${minor}\n`,
  );
  return folder;
}

const never = () => Promise.resolve(false);

describe("Eigen's headers", () => {
  test("are found in the first folder that is new enough", async () => {
    const old = headers("old", [3, 3, 9]);
    const good = headers("good", [3, 4, 0]);
    expect(await findEigen({ folders: [join(root, "none"), old, good], install: never })).toBe(good);
  });

  test("are installed where they are missing and that is allowed", async () => {
    const folder = join(root, "later");
    const install = async () => {
      headers("later", [3, 4, 1]);
      return true;
    };
    expect(await findEigen({ folders: [folder], install })).toBe(folder);
  });

  test("that cannot be installed are named, with the command that installs them", async () => {
    const search = { folders: [join(root, "none")], install: never };
    await expect(findEigen(search)).rejects.toThrow("libeigen3-dev");
  });
});
