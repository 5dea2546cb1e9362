import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pkg from "../../package.json" with { type: "json" };
import { ROOT } from "../../scripts/paths.ts";
import { commandReference, flattened } from "../../src/commands/reference.ts";
import { eventSchema } from "../../src/schema/events.ts";
import type { Schema } from "../../src/schema/parts.ts";
import { SHAPE, workplace, writeModels } from "../docs/fixture.ts";
import { blocks, pageText } from "../docs/pages.ts";
import { violations } from "../schema/validator.ts";
import { PATIENCE } from "../support/patience.ts";
import { writeSafetensors } from "../support/safetensors.ts";
import { startIn } from "./start.ts";

const ADDON_BUILT = existsSync(join(ROOT, "build", "Release", "sinter.node"));
const root = mkdtempSync(join(realpathSync(tmpdir()), "sinter-events-"));
const work = join(root, "work");

beforeAll(() => {
  writeModels(join(root, "models"));
  workplace(work, join(root, "models"));
  symlinkSync(join(root, "models", "demo", "adapter"), join(work, "adapter"));
  writeFileSync(join(work, "experts.yml"), blocks("docs/moe.md", "yaml")[0] ?? "");
  const norm = { dtype: "BF16" as const, shape: [SHAPE.hidden], bytes: new Uint8Array(2 * SHAPE.hidden) };
  mkdirSync(join(work, "part"));
  writeSafetensors(join(work, "part", "model.safetensors"), new Map([["model.norm.weight", norm]]));
  writeFileSync(join(work, "part", "config.json"), "{}");
}, PATIENCE);

afterAll(() => rmSync(root, { recursive: true, force: true }), PATIENCE);

/** Every command that takes a while, and the phases of its work. */
const LINES: readonly (readonly [line: string, phases: readonly string[]])[] = [
  ["sinter merge ties.yml ./merged", ["merging"]],
  ["sinter plan ties.yml", []],
  ["sinter moe experts.yml ./mixture", ["routing", "merging"]],
  ["sinter multi examples/programs/multi.yml -I ./parts --out-path ./graph", ["merging"]],
  ["sinter fill ./base ./part ./filled", ["merging"]],
  ["sinter shuffle ./mixed -m ./chat -m ./code", ["merging"]],
  ["sinter bakllama examples/programs/bakllama.yml ./stacked", ["merging"]],
  ["sinter legacy ./old --merge ./chat --merge ./code --base-model ./base", ["merging"]],
  ["sinter lora extract ./chat ./base ./extracted --rank 4", ["merging"]],
  ["sinter lora convert ./base+./adapter ./applied", ["merging"]],
  ["sinter lora convert ./adapter ./smaller --rank 2", ["merging"]],
  ["sinter tokens transplant ./base ./chat ./transplanted", ["merging"]],
  ["sinter diff ./base ./chat", ["reading"]],
  ["sinter verify ./merged --recompute", ["merging"]],
  ["sinter eval perplexity ./base --text sample.txt", ["evaluating"]],
  ["sinter report ./merged", ["reading"]],
  ["sinter bench --methods linear --models ./chat ./code", ["merging"]],
];

/** The schema with no key allowed that it does not name. */
const closed = (schema: Schema): Schema => ({
  ...schema,
  ...(schema.properties && {
    properties: Object.fromEntries(Object.entries(schema.properties).map(([name, one]) => [name, closed(one)])),
    additionalProperties: false,
  }),
  ...(schema.items && { items: closed(schema.items) }),
  ...(schema.oneOf && { oneOf: schema.oneOf.map(closed) }),
  ...(schema.$defs && {
    $defs: Object.fromEntries(Object.entries(schema.$defs).map(([name, one]) => [name, closed(one)])),
  }),
});
const SCHEMA = closed(eventSchema());

const parse = (text: string) =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

describe.skipIf(!ADDON_BUILT)(
  "with --events -, standard output is events as the schema has them, from start to done",
  () => {
    for (const [line, phases] of LINES) {
      test(
        line,
        () => {
          const { code, out, err } = startIn(work, `${line} -q --events -`);
          expect([code, err]).toEqual([0, ""]);
          const events = parse(out);
          expect(events.flatMap((event) => violations(SCHEMA, event).map((what) => [event, what]))).toEqual([]);
          expect(events[0]).toMatchObject({ event: "start", command: /^sinter (lora |tokens )?\w+/.exec(line)?.[0] });
          expect(events.at(-1)).toMatchObject({ event: "done", exit_code: 0 });
          const begun = events.flatMap(({ event, phase }) => (event === "phase" ? [phase] : []));
          expect(begun).toEqual(expect.arrayContaining([...phases]));
          // A phase that is over does not begin again: `multi` and `bench` merge several times, `verify` has several passes.
          if (line.startsWith("sinter merge")) expect(begun).toEqual(["planning", "merging", "syncing"]);
        },
        PATIENCE,
      );
    }
  },
);

describe("commands", () => {
  test("that show progress take --events and --quiet, and the other way round", async () => {
    const [sinter] = await commandReference(pkg.description);
    const all = sinter === undefined ? [] : flattened(sinter);
    const having = (name: string) =>
      all
        .filter(({ spec }) =>
          Object.values(spec?.options ?? {}).some((option) => "name" in option && option.name === name),
        )
        .map(({ words }) => words.join(" "));
    expect(having("events").toSorted()).toEqual(having("quiet").toSorted());
    const tested = new Set(LINES.map(([line]) => /^sinter (lora |tokens )?\w+/.exec(line)?.[0] ?? ""));
    expect(having("events").filter((name) => !tested.has(name))).toEqual([]);
  });
});

test.skipIf(!ADDON_BUILT)("a check that finds something wrong is done, with another exit code than 0", () => {
  startIn(work, "sinter merge ties.yml ./damaged -q");
  const file = join(work, "damaged", "model.safetensors");
  const bytes = readFileSync(file);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  writeFileSync(file, bytes);
  const { code, out } = startIn(work, "sinter verify ./damaged -q --events -");
  expect(code).toBe(1);
  expect(parse(out).at(-1)).toMatchObject({ event: "done", exit_code: 1 });
});

test("docs/events.md has every event and every key", () => {
  const page = pageText("docs/events.md");
  for (const { properties = {} } of eventSchema().oneOf ?? []) {
    for (const name of [properties.event?.const ?? "", ...Object.keys(properties)])
      expect(page).toContain(`\`${name}\``);
  }
});
