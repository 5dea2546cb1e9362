// Element types, named as the safetensors format names them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sinter {

enum class Dtype : uint8_t { F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8, BOOL };

constexpr const char* kDtypeNames[] = {"F64", "F32", "F16", "BF16", "I64", "I32", "I16",
                                       "I8",  "U64", "U32", "U16",  "U8",  "BOOL"};

/// Bytes of one element.
__attribute__((always_inline)) constexpr size_t element_size(Dtype dtype) {
  switch (dtype) {
    case Dtype::F64:
    case Dtype::I64:
    case Dtype::U64:
      return 8;
    case Dtype::F32:
    case Dtype::I32:
    case Dtype::U32:
      return 4;
    case Dtype::F16:
    case Dtype::BF16:
    case Dtype::I16:
    case Dtype::U16:
      return 2;
    default:
      return 1;
  }
}

__attribute__((always_inline)) constexpr bool is_float(Dtype dtype) { return dtype <= Dtype::BF16; }

}  // namespace sinter
