import { createHash } from "node:crypto";

/** An entry of `packages` in bun.lock: name@version, registry, what it needs, hash. */
type LockedPackage = readonly [string, string, { dependencies?: Record<string, string> }, string];

export interface Lockfile {
  packages: Readonly<Record<string, LockedPackage>>;
}

export interface Manifest {
  name: string;
  version: string;
  license: string;
  dependencies: Readonly<Record<string, string>>;
}

/** What is in the release without being a package of the lockfile. */
export interface Component {
  name: string;
  version: string;
  /** An SPDX identifier, or an expression of such. */
  license: string;
  description: string;
  purl?: string;
}

/** bun.lock is JSON with commas before closing brackets. */
export function parseLockfile(text: string): Lockfile {
  return JSON.parse(text.replace(/,(\s*[}\]])/g, "$1"));
}

/**
 * A CycloneDX 1.6 bill of materials: the runtime dependencies of the package with all that these need, and `others`.
 * It depends on its arguments alone: the serial number is made of the content, and there is no time in it.
 * @param licenseOf the license of an installed package, by name.
 */
export function billOfMaterials(
  manifest: Manifest,
  lock: Lockfile,
  others: readonly Component[],
  licenseOf: (name: string) => string | undefined,
): string {
  const names = reachable(manifest.dependencies, lock);
  const packages = names.map((name) => packageComponent(name, lock, licenseOf(name)));
  const root = {
    type: "application",
    "bom-ref": `pkg:npm/${manifest.name}@${manifest.version}`,
    name: manifest.name,
    version: manifest.version,
    licenses: [{ license: { id: manifest.license } }],
  };
  const components = [
    ...packages,
    ...others.map(({ name, version, license, description, purl }) => ({
      type: "library",
      "bom-ref": `${name}@${version}`,
      name,
      version,
      description,
      licenses: [
        license.includes(" ") || license.startsWith("LicenseRef-")
          ? { expression: license }
          : { license: { id: license } },
      ],
      ...(purl === undefined ? {} : { purl }),
    })),
  ];
  const dependencies = [
    {
      ref: root["bom-ref"],
      dependsOn: [
        ...Object.keys(manifest.dependencies).map((name) => ref(name, lock)),
        ...others.map(({ name, version }) => `${name}@${version}`),
      ],
    },
    ...names.map((name) => ({ ref: ref(name, lock), dependsOn: needs(name, lock).map((other) => ref(other, lock)) })),
  ];
  const content = { metadata: { component: root }, components, dependencies };
  return `${JSON.stringify({ bomFormat: "CycloneDX", specVersion: "1.6", serialNumber: serialNumber(JSON.stringify(content)), version: 1, ...content }, undefined, 2)}\n`;
}

/** All that `dependencies` need, themselves included, by name. What is optional and not locked is left out. */
function reachable(dependencies: Readonly<Record<string, string>>, lock: Lockfile): string[] {
  const found = new Set<string>();
  const visit = (name: string) => {
    if (found.has(name)) return;
    found.add(name);
    needs(name, lock).forEach(visit);
  };
  Object.keys(dependencies).forEach(visit);
  return [...found].sort();
}

function needs(name: string, lock: Lockfile): string[] {
  return Object.keys(locked(name, lock)[2].dependencies ?? {}).sort();
}

function locked(name: string, lock: Lockfile): LockedPackage {
  const entry = lock.packages[name];
  if (entry === undefined) throw new Error(`bun.lock has no package ${name}`);
  return entry;
}

/** A package URL, https://github.com/package-url/purl-spec: the scope's @ is encoded. */
function ref(name: string, lock: Lockfile): string {
  return `pkg:npm/${name.replace(/^@/, "%40")}@${versionOf(name, lock)}`;
}

function versionOf(name: string, lock: Lockfile): string {
  return locked(name, lock)[0].slice(name.length + 1);
}

function packageComponent(name: string, lock: Lockfile, license: string | undefined) {
  const [algorithm, digest = ""] = locked(name, lock)[3].split("-");
  if (algorithm !== "sha512") throw new Error(`${name} is locked by ${algorithm}, not by SHA-512`);
  return {
    type: "library",
    "bom-ref": ref(name, lock),
    name,
    version: versionOf(name, lock),
    purl: ref(name, lock),
    hashes: [{ alg: "SHA-512", content: Buffer.from(digest, "base64").toString("hex") }],
    ...(license === undefined ? {} : { licenses: [{ license: { id: license } }] }),
  };
}

/** A version 5 UUID of the content (RFC 9562). */
function serialNumber(content: string): string {
  const hex = createHash("sha1").update(content).digest("hex");
  const variant = ((Number.parseInt(hex[16] as string, 16) & 3) | 8).toString(16);
  return `urn:uuid:${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
