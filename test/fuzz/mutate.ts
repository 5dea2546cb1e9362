import fc from "fast-check";

/** One change to a file; positions are fractions of its length, so that a change means something in a file of any size. */
type Mutation =
  | { kind: "flip"; at: number; bit: number }
  | { kind: "set"; at: number; value: Uint8Array }
  | { kind: "cut"; at: number }
  | { kind: "insert"; at: number; value: Uint8Array }
  | { kind: "remove"; at: number; length: number }
  | { kind: "repeat"; at: number; length: number; times: number };

/** Not `fc.double`: most doubles lie close to 0. */
const place = fc.nat(99_999).map((n) => n / 100_000);
/** Numbers at which lengths, counts and offsets break. */
const breaking = fc.constantFrom(
  ...["ff", "00", "7f", "80", "ffff", "ffffffff", "feffffff", "ffffff7f", "00000080", "0000000000000080"],
  ...["ffffffffffffffff", "ffffffffffff1f00", "0000000000002000"],
);
const value = fc.oneof(
  breaking.map((hex) => new Uint8Array(Buffer.from(hex, "hex"))),
  fc.uint8Array({ minLength: 1, maxLength: 12 }),
);
const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({ kind: fc.constant("flip" as const), at: place, bit: fc.nat(7) }),
  fc.record({ kind: fc.constant("set" as const), at: place, value }),
  fc.record({ kind: fc.constant("cut" as const), at: place }),
  fc.record({ kind: fc.constant("insert" as const), at: place, value }),
  fc.record({ kind: fc.constant("remove" as const), at: place, length: fc.integer({ min: 1, max: 64 }) }),
  fc.record({
    kind: fc.constant("repeat" as const),
    at: place,
    length: fc.integer({ min: 1, max: 64 }),
    times: fc.integer({ min: 1, max: 200 }),
  }),
);

/** A file of the corpus with a few changes. */
export function mutated(corpus: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  return fc
    .tuple(fc.constantFrom(...corpus), fc.array(mutation, { minLength: 1, maxLength: 4 }))
    .map(([bytes, mutations]) => mutations.reduce(apply, bytes));
}

function apply(bytes: Uint8Array, change: Mutation): Uint8Array {
  const at = Math.floor(change.at * bytes.length);
  const head = bytes.subarray(0, at);
  switch (change.kind) {
    case "flip":
      return Buffer.concat([head, [(bytes[at] ?? 0) ^ (1 << change.bit)], bytes.subarray(at + 1)].map(Buffer.from));
    case "set":
      return Buffer.concat([head, change.value, bytes.subarray(at + change.value.length)]);
    case "cut":
      return head;
    case "insert":
      return Buffer.concat([head, change.value, bytes.subarray(at)]);
    case "remove":
      return Buffer.concat([head, bytes.subarray(at + change.length)]);
    case "repeat": {
      const piece = bytes.subarray(at, at + change.length);
      return Buffer.concat([head, ...Array<Uint8Array>(change.times).fill(piece), bytes.subarray(at)]);
    }
  }
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** One change to a JSON value: which of its values (a fraction of all of them), and what becomes of it. */
type JsonMutation = { at: number } & (
  | { kind: "replace"; value: Json }
  | { kind: "remove" | "double" | "wrap" | "grow" }
  | { kind: "copy"; from: number }
);

/** Values at which readers of sizes, names and lists break. */
const breakingValue: fc.Arbitrary<Json> = fc.oneof(
  fc.constantFrom<Json>(0, -1, 1.5, 2 ** 31, 2 ** 53, 1e308, -0, "", "0", null, true, [], {}, [[]], { a: {} }),
  fc.constantFrom("__proto__", "constructor", "..", "/etc/passwd", "\u0000", "a".repeat(5000), "\ud800", "(.*)*x"),
  fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<Json>,
);
const jsonMutation: fc.Arbitrary<JsonMutation> = fc.oneof(
  fc.record({ kind: fc.constant("replace" as const), at: place, value: breakingValue }),
  fc.record({ kind: fc.constantFrom("remove", "double", "wrap", "grow"), at: place }),
  fc.record({ kind: fc.constant("copy" as const), at: place, from: place }),
);

/** A JSON file of the corpus with a few of its values changed, so that it stays JSON: beyond what random bytes reach. */
export function mutatedJson(corpus: readonly Uint8Array[]): fc.Arbitrary<string> {
  const values = corpus.flatMap((bytes): Json[] => {
    try {
      return [JSON.parse(Buffer.from(bytes).toString())];
    } catch {
      return [];
    }
  });
  return fc
    .tuple(fc.constantFrom(...values), fc.array(jsonMutation, { minLength: 1, maxLength: 4 }))
    .map(([value, mutations]) => JSON.stringify(mutations.reduce(applyToJson, value)));
}

function applyToJson(root: Json, change: JsonMutation): Json {
  // A list around the root, so that every value has a place in another.
  const copy: Json[] = [structuredClone(root)];
  const places = placesIn(copy);
  const chosen = places[Math.floor(change.at * places.length)];
  if (chosen === undefined) return root;
  const { within, key } = chosen;
  const value = within[key] as Json;
  switch (change.kind) {
    case "replace":
      within[key] = change.value;
      break;
    case "remove":
      if (within !== (copy as unknown)) delete within[key];
      break;
    case "double":
      within[`${key}${key}`] = structuredClone(value);
      break;
    case "wrap":
      within[key] = [value];
      break;
    case "grow":
      if (typeof value === "number") within[key] = value * 1000 + 1;
      else if (typeof value === "string") within[key] = value.repeat(20);
      else if (Array.isArray(value)) within[key] = Array<Json>(200).fill(value[0] ?? null);
      break;
    case "copy": {
      const from = places[Math.floor(change.from * places.length)];
      if (from !== undefined) within[key] = structuredClone(from.within[from.key] as Json);
    }
  }
  return copy[0] ?? null;
}

interface Place {
  within: Record<string, Json>;
  key: string;
}

function placesIn(value: Json): Place[] {
  if (typeof value !== "object" || value === null) return [];
  const within = value as Record<string, Json>;
  return Object.keys(within).flatMap((key) => [{ within, key }, ...placesIn(within[key] as Json)]);
}
