// One op as the passes see it: where its inputs lie, its numbers, and what the passes before have found out.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../numeric/dtype.h"

namespace sinter {

/// Most inputs of one op, the base included.
constexpr int kMaxInputs = 64;

/// Elements that share one partial sum: the leaf of the fixed summation tree. Results depend on it.
constexpr uint64_t kSumBlock = 65536;

/// Bytes of output that share one checksum, and that one map task writes. Checksums depend on it.
constexpr uint64_t kDigestBytes = 4 << 20;

/// Elements that one task of the reduce and select passes takes: a multiple of kSumBlock.
constexpr uint64_t kTaskElements = 8 * kSumBlock;

struct InputSpan {
  const std::byte* data;
  Dtype dtype;
  /// Tells the random numbers of sources apart.
  uint32_t stream;
};

/// The exact k-th largest magnitude of a selection: an element is kept when its magnitude bits exceed `bits`, or equal
/// them at an index of at most `last_equal`.
struct Threshold {
  uint64_t bits;
  int64_t last_equal;
};

constexpr Threshold kKeepAll{0, INT64_MAX};
constexpr Threshold kKeepNone{UINT64_MAX, -1};

struct Job {
  int inputs = 0;
  InputSpan input[kMaxInputs];
  uint64_t count = 0;
  /// First dimension of the tensor; 1 for a 0-d tensor.
  uint64_t rows = 1;
  Dtype out = Dtype::F32;
  /// Work in double: some input or the output is F64.
  bool wide = false;
  /// Laid out as the method's header says.
  std::vector<double> params;
  /// Key of the random numbers: hash of seed and output tensor name.
  uint64_t key = 0;

  /// Found by the select pass, one per selection.
  std::vector<Threshold> thresholds;
  /// Found by the reduce pass.
  std::vector<double> sums;
  /// What `solve` made of the sums; read by the map pass.
  std::vector<double> solved;
};

/// Asks for the `k` elements of largest magnitude among those of input `input`, as the method defines magnitude.
struct Selection {
  int input;
  uint64_t k;
};

}  // namespace sinter
