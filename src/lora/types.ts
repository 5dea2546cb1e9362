import type { TensorView } from "../model/types.ts";

/** What adapter_config.json says, checked, with PEFT's defaults. */
export interface AdapterConfig {
  /** The adapter_config.json. */
  file: string;
  rank: number;
  alpha: number;
  /** alpha / sqrt(rank) instead of alpha / rank. */
  useRslora: boolean;
  useDora: boolean;
  /** By module or regular expression: the first that a module's name ends with. */
  rankPattern: ReadonlyMap<string, number>;
  alphaPattern: ReadonlyMap<string, number>;
  /** Names, one regular expression, or undefined where the file does not say. `all-linear` is undefined, too. */
  targetModules: readonly string[] | string | undefined;
  excludeModules: readonly string[] | string | undefined;
  /** Parameters that have factors, by the ends of their names: packed experts, routers. */
  targetParameters: readonly string[];
  layersToTransform: readonly number[] | undefined;
  layersPattern: readonly string[];
  modulesToSave: readonly string[];
  fanInFanOut: boolean;
  /** A head that follows its embedding goes on doing so, though the adapter holds both. */
  ensureWeightTying: boolean;
  /** Rows of embeddings that the adapter holds, by the embedding's name; `*` where it is not named. */
  tokenRows: ReadonlyMap<string, readonly number[]>;
  /** The base that the adapter was made for, as the file names it. */
  base: string | undefined;
}

/** A folder with an adapter in PEFT's layout. No tensor byte was read. */
export interface Adapter {
  name: string;
  dir: string;
  config: AdapterConfig;
  tensors: ReadonlyMap<string, TensorView>;
  weightFiles: readonly { path: string; size: number }[];
  sideFiles: readonly string[];
}

/** A tensor of an adapter, and what it is called in the file. */
export interface StoredFactor {
  tensor: string;
  view: TensorView;
}

/** What an adapter has for one module. */
export interface AdapterModule {
  /** Dotted path in the model's class, `base_model.model.` left out. */
  path: string;
  a: StoredFactor | undefined;
  b: StoredFactor | undefined;
  /** `lora_embedding_A` and `_B`: of an embedding. */
  isEmbedding: boolean;
  /** `lora_B.bias`. */
  bias: StoredFactor | undefined;
  magnitude: StoredFactor | undefined;
}

/** An adapter's tensors by what they are. */
export interface AdapterParts {
  modules: readonly AdapterModule[];
  /** Whole tensors, of `modules_to_save` and of trained biases, by the names that they replace. */
  replaced: ReadonlyMap<string, StoredFactor>;
  /** Rows of embeddings, by the embedding's path. */
  tokenRows: ReadonlyMap<string, StoredFactor>;
  /** Whole tensors of the base as it was trained on, by their names: it may have had more tokens than the base at hand. */
  baseCopies: ReadonlyMap<string, StoredFactor>;
}
