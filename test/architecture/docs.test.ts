import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import schema from "../../architectures/schema.json";
import type { FamilyDefinition } from "../../src/architecture/definition.ts";
import { expandDefinition } from "../../src/architecture/expand.ts";
import { weightSpecs } from "../../src/architecture/resolve.ts";
import type { Architecture } from "../../src/architecture/types.ts";
import { findFault, type Schema } from "../../src/architecture/validate.ts";
import { Report } from "../../src/errors.ts";
import { storedModel } from "./stored-model.ts";

const text = readFileSync(join(import.meta.dir, "../../docs/architectures.md"), "utf8");
const [family, weight, modules] = [...text.matchAll(/```json\n([\s\S]*?)```/g)].map(([, json]) =>
  JSON.parse(json as string),
);

/** A definition around a part of one. */
const around = (parts: object) => ({ ...family, modules: parts });

describe("the examples of docs/architectures.md", () => {
  test("fit the schema", () => {
    for (const definition of [family, around({ default: { layer: [weight] } }), around(modules)]) {
      expect(findFault(definition, schema as Schema)).toBeUndefined();
    }
  });

  test("give the weights that the text speaks of", () => {
    const config = { num_hidden_layers: 2, num_experts: 2, first_k_dense_replace: 1 };
    const model = storedModel({ architectures: ["ExampleForCausalLM"], ...config }, []);
    const architecture = expandDefinition("example", family as FamilyDefinition, model, new Report()) as Architecture;
    const names = weightSpecs(architecture).map(({ name }) => name);
    expect(names).toContain("model.layers.0.mlp.up_proj.weight");
    expect(names).toContain("model.layers.1.mlp.experts.1.up_proj.weight");
    expect(names).toHaveLength(1 + 2 * 6 + 3 + 1 + 6 + 2);
  });

  test("explain every key that a definition may have", () => {
    const keys = ["family", "config", "prefixes", "head", "loops", "before", "layer", "after", "subfolder", "packed"];
    const all = [...Object.keys(schema.properties), ...Object.keys(schema.$defs.detailed.properties), ...keys];
    const missing = all.filter(
      (key) => key !== "$schema" && !text.includes(`"${key}"`) && !text.includes(`\`${key}\``),
    );
    expect(missing).toEqual([]);
  });
});
