// Patches applied to chunks of an input as they are read: engine/patch.h says what they are.
//
// The product of a block of rows is made at once, a tile of it in registers, and kept until the thread reads other rows.
// The order of each element's sum is the same in every tile, and in the short way for small pieces: no instruction set,
// partition or pass changes a bit.
#pragma once

#include <algorithm>
#include <cstring>

#include "../engine/kernel.h"
#include "../numeric/convert.h"

SINTER_KERNEL_NAMESPACE_BEGIN

/// Reads shorter than this make their own sums instead of a whole block's.
constexpr uint32_t kShortRead = 256;

/// As many bytes as a register has: of wider ones GCC 12 makes loads and stores of each element.
#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class Work>
struct Wide {
  static constexpr int count = kVectorBytes / sizeof(Work);
  typedef Work type __attribute__((vector_size(kVectorBytes)));
};

/// Rows of a block come in groups of this many, a tile high: their sums are what is kept in registers.
constexpr uint64_t kGroupRows = 8;

template <class Work>
Work widen_element(const Factor& factor, uint64_t row, uint64_t column) {
  const uint64_t at = row * factor.row_stride + column * factor.column_stride;
  const std::byte* const from = factor.data + at * element_size(factor.dtype);
  switch (factor.dtype) {
    case Dtype::F64: {
      uint64_t bits;
      memcpy(&bits, from, sizeof(bits));
      return static_cast<Work>(F64::widen(bits));
    }
    case Dtype::F32: {
      uint32_t bits;
      memcpy(&bits, from, sizeof(bits));
      return static_cast<Work>(F32::widen(bits));
    }
    case Dtype::F16: {
      uint16_t bits;
      memcpy(&bits, from, sizeof(bits));
      return static_cast<Work>(F16::widen(bits));
    }
    default: {
      uint16_t bits;
      memcpy(&bits, from, sizeof(bits));
      return static_cast<Work>(BF16::widen(bits));
    }
  }
}

template <class Work>
const Work* made_right(const Patch& patch) {
  if constexpr (sizeof(Work) == 8) {
    return patch.right64.data();
  } else {
    return patch.right32.data();
  }
}

/// `left` holds kGroupRows numbers for each k.
template <class Work>
void product_tile(const Work* __restrict left, const Work* __restrict right, uint64_t stride, uint32_t rank,
                  Work* __restrict out) {
  using Vector = typename Wide<Work>::type;
  Vector sums[kGroupRows] = {};
  for (uint32_t k = 0; k < rank; k++) {
    Vector values;
    memcpy(&values, right + k * stride, sizeof(values));
    for (uint64_t i = 0; i < kGroupRows; i++) sums[i] += left[k * kGroupRows + i] * values;
  }
  for (uint64_t i = 0; i < kGroupRows; i++) memcpy(out + i * stride, &sums[i], sizeof(Vector));
}

/// The products of kGroupRows rows of a patch, `first` the first of them, as rows of `stride` elements.
template <class Work>
void product_group(const Patch& patch, uint64_t first, uint64_t stride, std::vector<Work>& room, Work* out) {
  const uint64_t rows = std::min(kGroupRows, patch.end - first);
  room.assign(patch.rank * kGroupRows, Work{0});
  for (uint64_t i = 0; i < rows; i++) {
    for (uint32_t k = 0; k < patch.rank; k++) {
      room[k * kGroupRows + i] =
          patch.left.data == nullptr ? Work{1} : widen_element<Work>(patch.left, first - patch.begin + i, k);
    }
  }
  for (uint64_t j = 0; j < stride; j += Wide<Work>::count) {
    product_tile(room.data(), made_right<Work>(patch) + j, stride, patch.rank, out + j);
  }
}

/// Products of rows [first, first + rows), of one input or piece of one op.
template <class Work>
struct ProductBlock {
  uint64_t job = 0;
  uint64_t first = 0;
  uint64_t rows = 0;
  std::vector<Work> values;
  std::vector<Work> left;
};

template <class Work>
ProductBlock<Work>& product_block(size_t number) {
  thread_local std::vector<ProductBlock<Work>> blocks;
  if (blocks.size() <= number) blocks.resize(number + 1);
  return blocks[number];
}

/// The products of one row, from the block that holds it: made where the thread has another one.
template <class Work>
const Work* block_row(const Job& job, const InputPatches& own, const Patch& patch, uint64_t row) {
  const uint64_t stride = own.stride();
  ProductBlock<Work>& block = product_block<Work>(own.number);
  if (block.job != job.id || row < block.first || row >= block.first + block.rows) {
    const uint64_t groups = std::max<uint64_t>(1, 1024 / (stride * kGroupRows));
    const uint64_t height = groups * kGroupRows;
    block.job = job.id;
    block.first = patch.begin + (row - patch.begin) / height * height;
    block.rows = std::min(height, patch.end - block.first);
    const uint64_t made = (block.rows + kGroupRows - 1) / kGroupRows * kGroupRows;
    if (block.values.size() < made * stride) block.values.resize(made * stride);
    for (uint64_t i = 0; i < made; i += kGroupRows) {
      product_group(patch, block.first + i, stride, block.left, block.values.data() + i * stride);
    }
  }
  return block.values.data() + (row - block.first) * stride;
}

/// The products of elements [column, column + n) of one row, n < kShortRead, to `out`.
template <class Work>
void short_product(const InputPatches& own, const Patch& patch, uint64_t row, uint64_t column, uint32_t n,
                   Work* __restrict out) {
  for (uint32_t j = 0; j < n; j++) out[j] = Work{0};
  for (uint32_t k = 0; k < patch.rank; k++) {
    const Work factor = patch.left.data == nullptr ? Work{1} : widen_element<Work>(patch.left, row - patch.begin, k);
    const Work* __restrict right = made_right<Work>(patch) + k * own.stride() + column;
    for (uint32_t j = 0; j < n; j++) out[j] += factor * right[j];
  }
}

/// Changes elements [column, column + n) of one row that `patch` changes, its magnitude aside.
template <class Work>
void patch_segment(const Job& job, const InputPatches& own, const Patch& patch, uint64_t row, uint64_t column,
                   uint32_t n, bool is_short, Work* __restrict to) {
  if (patch.replaces) {
    memcpy(to, made_right<Work>(patch) + column, n * sizeof(Work));
    return;
  }
  Work room[kShortRead];
  const Work* products = room;
  if (patch.left.data == nullptr) {
    products = made_right<Work>(patch) + column;
  } else if (is_short) {
    short_product(own, patch, row, column, n, room);
  } else {
    products = block_row<Work>(job, own, patch, row) + column;
  }
  const Work scale = static_cast<Work>(patch.scale);
  for (uint32_t j = 0; j < n; j++) to[j] += scale * products[j];
}

template <class Work>
void scale_segment(const Patch& patch, uint64_t row, uint64_t column, uint32_t n, Work* __restrict to) {
  if (patch.along == Magnitude::rows) {
    const Work ratio = static_cast<Work>(patch.ratio[row - patch.begin]);
    for (uint32_t j = 0; j < n; j++) to[j] *= ratio;
  } else if (patch.along == Magnitude::columns) {
    const double* __restrict ratio = patch.ratio.data() + column;
    for (uint32_t j = 0; j < n; j++) to[j] *= static_cast<Work>(ratio[j]);
  }
}

/// Changes elements [begin, begin + n) of an input or piece. @returns whether one of them is a NaN or an infinity now.
template <class Work>
bool apply_patches(const Job& job, const InputPatches& own, uint64_t begin, uint32_t n, Work* to) {
  using Bits = typename BitsOf<Work>::type;
  constexpr Bits kExponent = sizeof(Work) == 8 ? static_cast<Bits>(F64::kExponent) : static_cast<Bits>(F32::kExponent);
  const bool is_short = n < kShortRead;
  uint32_t found = 0;
  for (uint32_t i = 0; i < n;) {
    const uint64_t row = (begin + i) / own.columns;
    const uint64_t column = (begin + i) % own.columns;
    const uint32_t count = static_cast<uint32_t>(std::min<uint64_t>(own.columns - column, n - i));
    const Patch* const patch = own.of_row(row);
    if (patch != nullptr) {
      patch_segment(job, own, *patch, row, column, count, is_short, to + i);
      scale_segment(*patch, row, column, count, to + i);
      for (uint32_t j = i; j < i + count; j++) {
        found |= (bits_as<Bits>(to[j]) & kExponent) == kExponent ? 1u : 0u;
      }
    }
    i += count;
  }
  return found != 0;
}

SINTER_KERNEL_NAMESPACE_END
