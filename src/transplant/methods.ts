/** What an approximation needs, besides the model's own rows. */
interface Approximation {
  doc: string;
  /** Rows of the donor for tokens that both models have. */
  shared: boolean;
  /** `k` of them, at most. */
  k: boolean;
  /** Computed with matrix products or decompositions, which do not give the same bytes on every machine. */
  machineDependent: boolean;
}

/** How the row of a token that the model does not have is made. */
export const APPROXIMATIONS = {
  omp: {
    doc: "a combination of at most k shared tokens, found by orthogonal matching pursuit among the donor's rows",
    shared: true,
    k: true,
    machineDependent: true,
  },
  common_interpolation: {
    doc: "the k shared tokens nearest to it among the donor's rows, weighted as --weight-scheme says",
    shared: true,
    k: true,
    machineDependent: true,
  },
  subword: {
    doc: "the pieces that the model's own tokenizer cuts its text into, put together as --subword-method says",
    shared: false,
    k: false,
    machineDependent: false,
  },
  mean: { doc: "the mean of all rows", shared: false, k: false, machineDependent: false },
  zero: { doc: "zeros", shared: false, k: false, machineDependent: false },
  randn: { doc: "normal random numbers of mean 0 and variance 1", shared: false, k: false, machineDependent: false },
  john_hewitt: {
    doc: "normal random numbers with the mean and covariance of all rows",
    shared: false,
    k: false,
    machineDependent: true,
  },
  landmark_pca: {
    doc: "the donor's row, turned by the rotation that takes the shared tokens' rows closest to the model's",
    shared: true,
    k: false,
    machineDependent: true,
  },
  stb: {
    doc: "the donor's row in a basis of combinations of k shared tokens, carried over to the same combinations",
    shared: true,
    k: true,
    machineDependent: true,
  },
  mp_rope: {
    doc: "as omp, where each shared token may also be turned by a rotary position",
    shared: true,
    k: true,
    machineDependent: true,
  },
} as const satisfies Record<string, Approximation>;

export type ApproximationMethod = keyof typeof APPROXIMATIONS;
export const APPROXIMATION_METHODS = Object.keys(APPROXIMATIONS) as ApproximationMethod[];

export const WEIGHT_SCHEMES = ["distance_proportional", "barycentric", "least_squares"] as const;
export type WeightScheme = (typeof WEIGHT_SCHEMES)[number];

export const SUBWORD_METHODS = ["mean", "sum", "weighted_mean", "first_last"] as const;
export type SubwordMethod = (typeof SUBWORD_METHODS)[number];

/** Which matrices a rule applies to. */
export const MATCHES = ["lm_head", "embed", "yes", "no"] as const;
export type Match = (typeof MATCHES)[number];

/** How a transplant is done. */
export interface TransplantOptions {
  method: ApproximationMethod;
  k: number;
  /** Neighbours by cosine, not by distance. */
  cosine: boolean;
  weightScheme: WeightScheme;
  subwordMethod: SubwordMethod;
  /** Tokens at a time; 0: all. */
  batch: number;
  prefixMatch: Match;
  byteMatch: Match;
  /** Leave out tokens that look untrained. */
  magikarp: boolean;
  /** Standard deviation of what is added to approximated rows, and what they are multiplied by then. */
  noise: number;
  scale: number;
  seed: number;
}

export const DEFAULT_TRANSPLANT: TransplantOptions = {
  method: "omp",
  k: 64,
  cosine: false,
  weightScheme: "distance_proportional",
  subwordMethod: "mean",
  batch: 512,
  prefixMatch: "no",
  byteMatch: "no",
  magikarp: false,
  noise: 0,
  scale: 1,
  seed: 0,
};
