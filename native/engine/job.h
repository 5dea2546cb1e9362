// One op as the passes see it: where its inputs lie, its numbers, and what the passes before have found out.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "../numeric/dtype.h"
#include "patch.h"
#include "strided.h"

namespace sinter {

/// Most inputs of one op, the base included.
constexpr int kMaxInputs = 64;

/// Elements that share one partial sum: the leaf of the fixed summation tree. Results depend on it.
constexpr uint64_t kSumBlock = 65536;

/// Bytes of output that share one checksum, and that one map task writes. Checksums depend on it.
constexpr uint64_t kDigestBytes = 4 << 20;

/// Elements that one task of the reduce and select passes takes: a multiple of kSumBlock.
constexpr uint64_t kTaskElements = 8 * kSumBlock;

struct RowGather;

struct InputSpan {
  const std::byte* data;
  Dtype dtype;
  /// Tells the random numbers of sources apart.
  uint32_t stream;
  /// What is changed in the elements as they are read; null where nothing is.
  const InputPatches* patches = nullptr;
  /// Where the rows lie, where they are not those at `data` in their order; then `data` and `dtype` are not used. Owned by
  /// the op.
  const RowGather* gather = nullptr;
  /// Where the elements lie that do not lie one after another; null where they do.
  std::shared_ptr<const StridedLayout> layout = nullptr;
};

/// Bytes of elements [begin, begin + n) next to each other: where they lie, or gathered into `room`.
inline const std::byte* elements_of(const InputSpan& span, uint64_t begin, uint64_t n, std::byte* room) {
  const size_t width = element_size(span.dtype);
  if (span.layout == nullptr) return span.data + begin * width;
  gather(span.data, *span.layout, width, begin, n, room);
  return room;
}

/// The exact k-th largest magnitude of a selection: an element is kept when its magnitude bits exceed `bits`, or equal
/// them at an index of at most `last_equal`.
struct Threshold {
  uint64_t bits;
  int64_t last_equal;
};

constexpr Threshold kKeepAll{0, INT64_MAX};
constexpr Threshold kKeepNone{UINT64_MAX, -1};

/// What a method's sums and coefficients belong to: the whole tensor, the vectors along its last dimension, or those
/// along its first.
enum class Grouping { whole, rows, columns };

struct Job {
  /// Tells this op from every other of the process.
  uint64_t id = 0;
  int inputs = 0;
  InputSpan input[kMaxInputs];
  uint64_t count = 0;
  /// Elements of each input: `count`, unless the inputs are pieces of the tensor.
  uint64_t input_count = 0;
  /// First dimension of the tensor; 1 for a 0-d tensor.
  uint64_t rows = 1;
  /// Last dimension of the tensor; 1 for a 0-d tensor.
  uint64_t columns = 1;
  Dtype out = Dtype::F32;
  /// Work in double: some input or the output is F64.
  bool wide = false;
  /// Laid out as the method's header says.
  std::vector<double> params;
  /// Key of the random numbers: hash of seed and output tensor name.
  uint64_t key = 0;

  /// Of all inputs that have some; `InputSpan::patches` points into it.
  std::vector<std::unique_ptr<InputPatches>> patches;

  /// Found by the prepare pass: a number per row.
  std::vector<double> table;
  /// Found by the prepare pass: per input a bit per element, whether it is kept. Empty where that takes too much memory.
  std::vector<std::vector<uint64_t>> masks;
  /// Bytes of the budget that this op holds.
  uint64_t taken = 0;
  /// Found by the select pass, one per selection.
  std::vector<Threshold> thresholds;
  Grouping grouping = Grouping::whole;
  /// How often the reduce pass has run: a method may ask for another one.
  int round = 0;
  /// Found by the reduce pass: the sums of each group in turn.
  std::vector<double> sums;
  /// What `solve` made of the sums, for each group in turn; read by the map pass.
  std::vector<double> solved;

  uint64_t groups() const {
    return grouping == Grouping::whole ? 1 : grouping == Grouping::rows ? count / columns : count / rows;
  }
};

/// Asks for the `k` elements of largest magnitude, as the method defines magnitude for input `input`.
struct Selection {
  int input;
  uint64_t k;
  /// Where it is not negative: `k` is that share of the non-zero magnitudes, rounded down, and not known beforehand.
  double share_of_nonzero = -1.0;
  /// Only the k-th magnitude itself is wanted: `last_equal` of the threshold means nothing.
  bool value = false;
};

}  // namespace sinter
