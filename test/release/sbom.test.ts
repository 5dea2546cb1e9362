import { expect, test } from "bun:test";
import { billOfMaterials, parseLockfile } from "../../scripts/release/sbom.ts";

const HASH = `sha512-${Buffer.alloc(64, 7).toString("base64")}`;
const LOCK = `{
  "packages": {
    "@scope/used": ["@scope/used@1.2.3", "", { "dependencies": { "deeper": "^2.0.0" } }, "${HASH}"],
    "deeper": ["deeper@2.0.1", "", {}, "${HASH}"],
    "unused": ["unused@9.9.9", "", {}, "${HASH}"],
  },
}`;
const MANIFEST = { name: "made", version: "0.1.0", license: "Apache-2.0", dependencies: { "@scope/used": "1.2.3" } };
const OTHERS = [{ name: "xxHash", version: "0.8.2", license: "BSD-2-Clause", description: "Checksums" }];

const GCC = "GPL-3.0-or-later WITH GCC-exception-3.1";

test("a license that is an expression is given as one", () => {
  const library = { name: "libstdc++", version: "12.2.0", license: GCC, description: "", purl: "pkg:generic/x@1" };
  const { components } = JSON.parse(billOfMaterials(MANIFEST, parseLockfile(LOCK), [library], () => "MIT"));
  expect(components.at(-1)).toMatchObject({ licenses: [{ expression: GCC }], purl: "pkg:generic/x@1" });
});

const bill = (lock = LOCK) => billOfMaterials(MANIFEST, parseLockfile(lock), OTHERS, () => "MIT");

test("the bill lists what the program needs, directly and not, and nothing that only its tests need", () => {
  const { bomFormat, components, dependencies } = JSON.parse(bill());
  expect(bomFormat).toBe("CycloneDX");
  expect(components.map(({ name, version }: Record<string, string>) => `${name} ${version}`)).toEqual([
    "@scope/used 1.2.3",
    "deeper 2.0.1",
    "xxHash 0.8.2",
  ]);
  expect(components[0]).toMatchObject({
    purl: "pkg:npm/%40scope/used@1.2.3",
    hashes: [{ alg: "SHA-512", content: "07".repeat(64) }],
    licenses: [{ license: { id: "MIT" } }],
  });
  expect(dependencies).toContainEqual({ ref: "pkg:npm/%40scope/used@1.2.3", dependsOn: ["pkg:npm/deeper@2.0.1"] });
});

test("the same contents give the same bill, others another serial number", () => {
  expect(bill()).toBe(bill());
  const serial = (text: string) => JSON.parse(text).serialNumber;
  expect(serial(bill())).toMatch(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(serial(bill(LOCK.replaceAll("2.0.1", "2.0.2")))).not.toBe(serial(bill()));
});
