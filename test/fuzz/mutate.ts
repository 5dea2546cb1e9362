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
