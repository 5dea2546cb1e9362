import type { Dtype } from "../dtype.ts";

/** An element type of PyTorch: its name without `torch.`, and what it is here, if anything. */
export interface TorchElement {
  name: string;
  bytes: number;
  dtype: Dtype | undefined;
}

const READABLE: Record<string, [bytes: number, dtype: Dtype]> = {
  float64: [8, "F64"],
  float32: [4, "F32"],
  float16: [2, "F16"],
  bfloat16: [2, "BF16"],
  int64: [8, "I64"],
  int32: [4, "I32"],
  int16: [2, "I16"],
  int8: [1, "I8"],
  uint64: [8, "U64"],
  uint32: [4, "U32"],
  uint16: [2, "U16"],
  uint8: [1, "U8"],
  bool: [1, "BOOL"],
};

/** Known, so that a message can name them and a storage beside them can be found. */
const OTHERS: Record<string, number> = {
  complex32: 4,
  complex64: 8,
  complex128: 16,
  float8_e4m3fn: 1,
  float8_e4m3fnuz: 1,
  float8_e5m2: 1,
  float8_e5m2fnuz: 1,
  float8_e8m0fnu: 1,
  float4_e2m1fn_x2: 1,
  qint8: 1,
  quint8: 1,
  qint32: 4,
  quint4x2: 1,
  quint2x4: 1,
};

/** By name without `torch.`. */
export const TORCH_ELEMENTS: ReadonlyMap<string, TorchElement> = new Map<string, TorchElement>([
  ...Object.entries(READABLE).map(([name, [bytes, dtype]]) => [name, { name, bytes, dtype }] as const),
  ...Object.entries(OTHERS).map(([name, bytes]) => [name, { name, bytes, dtype: undefined }] as const),
]);

/** The element types of PyTorch's storage classes, by the class's name without `torch.`. */
export const STORAGE_CLASSES: Readonly<Record<string, string>> = {
  DoubleStorage: "float64",
  FloatStorage: "float32",
  HalfStorage: "float16",
  BFloat16Storage: "bfloat16",
  LongStorage: "int64",
  IntStorage: "int32",
  ShortStorage: "int16",
  CharStorage: "int8",
  ByteStorage: "uint8",
  BoolStorage: "bool",
  ComplexFloatStorage: "complex64",
  ComplexDoubleStorage: "complex128",
  QInt8Storage: "qint8",
  QUInt8Storage: "quint8",
  QInt32Storage: "qint32",
  QUInt4x2Storage: "quint4x2",
  QUInt2x4Storage: "quint2x4",
};
