import type { CommandModule } from "./command.ts";

/** mergekit's programs by their names: what bin/ holds besides `sinter`. A program is imported only when it runs. */
export const PROGRAMS: Readonly<Record<string, () => Promise<CommandModule>>> = {
  "mergekit-yaml": () => import("./compat/mergekit-yaml.ts"),
  "mergekit-moe": () => import("./compat/mergekit-moe.ts"),
  "mergekit-multi": () => import("./compat/mergekit-multi.ts"),
  "mergekit-pytorch": () => import("./compat/mergekit-pytorch.ts"),
  "mergekit-layershuffle": () => import("./compat/mergekit-layershuffle.ts"),
  "mergekit-legacy": () => import("./compat/mergekit-legacy.ts"),
  "mergekit-fill-missing-params": () => import("./compat/mergekit-fill-missing-params.ts"),
  "mergekit-evolve": () => import("./compat/mergekit-evolve.ts"),
  "mergekit-tokensurgeon": () => import("./compat/mergekit-tokensurgeon.ts"),
  "mergekit-extract-lora": () => import("./compat/mergekit-extract-lora.ts"),
  bakllama: () => import("./compat/bakllama.ts"),
};
