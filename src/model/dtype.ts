/** Element types as the safetensors format names them. */
export const DTYPE_BYTES = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
} as const;

export type Dtype = keyof typeof DTYPE_BYTES;
export type FloatDtype = "F64" | "F32" | "F16" | "BF16";

/** Names that configurations use, without the optional `torch.` prefix. */
const TORCH_NAMES: Record<string, FloatDtype> = {
  float64: "F64",
  double: "F64",
  float32: "F32",
  float: "F32",
  float16: "F16",
  half: "F16",
  bfloat16: "BF16",
};

export function isDtype(name: string): name is Dtype {
  return Object.hasOwn(DTYPE_BYTES, name);
}

export function isFloat(dtype: Dtype): dtype is FloatDtype {
  return dtype === "F64" || dtype === "F32" || dtype === "F16" || dtype === "BF16";
}

/** `bfloat16`, `torch.bfloat16` and the like; undefined where the name is none that weights can be merged in. */
export function parseTorchDtype(name: string): FloatDtype | undefined {
  const bare = name.startsWith("torch.") ? name.slice("torch.".length) : name;
  return Object.hasOwn(TORCH_NAMES, bare) ? TORCH_NAMES[bare] : undefined;
}

export const torchDtypeNames: readonly string[] = Object.keys(TORCH_NAMES);

/** The name that config.json uses. */
export function torchName(dtype: FloatDtype): string {
  return { F64: "float64", F32: "float32", F16: "float16", BF16: "bfloat16" }[dtype];
}

/** The dtype PyTorch computes in when both meet: the wider one; F16 with BF16 gives F32. */
export function promote(a: FloatDtype, b: FloatDtype): FloatDtype {
  if (a === b) return a;
  if (a === "F64" || b === "F64") return "F64";
  return "F32";
}
