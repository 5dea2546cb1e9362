import type { Problem } from "../errors.ts";
import { promptText } from "./prompt-text.ts";
import type { Expert } from "./types.ts";

/** Routers whose largest singular value is more than this many times their smallest hardly tell some experts apart. */
const MOST = 5;

/** Layers that a message lists one by one. */
const LISTED = 12;

/** What `Addon.route` says of the routers of all layers; the first of the `rows` belong to the experts. */
export interface Conditions {
  cosines: Float64Array;
  condition: Float64Array;
  rows: number;
}

/** Warnings about routers that hardly tell experts apart: in which layers, which experts, and by which prompts. */
export function degenerateRouters(experts: readonly Expert[], routing: Conditions): Problem[] {
  const layers = [...routing.condition.keys()].filter((layer) => !((routing.condition[layer] as number) <= MOST));
  if (layers.length === 0) return [];
  const closest = layers.map((layer) => closestPair(layer, experts.length, routing));
  const worst = closest.reduce((a, b) => (b.cosine > a.cosine ? b : a));
  const where =
    layers.length === routing.condition.length
      ? layers.length === 1
        ? "the routers"
        : "the routers of all layers"
      : `the routers of ${layers.length} of ${routing.condition.length} layers (${listed(layers)})`;
  const described = [worst.first, worst.second].map((index) => {
    const expert = experts[index] as Expert;
    return `${index} (${expert.positive.map(promptText).join(", ")})`;
  });
  return [
    {
      code: "degenerate-routers",
      message:
        `${where} hardly tell some experts apart: the prompts of experts ${described.join(" and ")} are closest, with a ` +
        `cosine of ${worst.cosine.toFixed(4)} between their routing vectors`,
      at: (experts[worst.second] as Expert).at,
      hint: "choose prompts that have less in common; an expert may hardly be used otherwise",
    },
  ];
}

function closestPair(layer: number, experts: number, { cosines, rows }: Conditions) {
  let best = { first: 0, second: 0, cosine: Number.NEGATIVE_INFINITY };
  for (let first = 0; first < experts; first++) {
    for (let second = first + 1; second < experts; second++) {
      const cosine = cosines[(layer * rows + first) * rows + second] as number;
      if (cosine > best.cosine) best = { first, second, cosine };
    }
  }
  return best;
}

function listed(layers: readonly number[]): string {
  const more = layers.length > LISTED ? " …" : "";
  return layers.slice(0, LISTED).join(", ") + more;
}
