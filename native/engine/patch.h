// Changes that are made to an input as it is read: what a LoRA adapter adds to a weight.
//
// An input is taken as a matrix of rows of `columns` elements. A patch changes rows [begin, end) of it:
//
//   W[i][j] + scale * sum over k of left[i][k] * right[k][j]        k = 0, 1, … rank - 1, in this order
//
// in the op's work type, each product, sum and the scale rounded on its own; or it takes `right` instead of W
// (`replaces`). DoRA (https://arxiv.org/abs/2402.09353) then gives each row, or each column, the length that
// `magnitude` says: the result times magnitude / norm, the norm a float64 sum in a fixed order.
// A norm of zero gives NaN or infinity, as in PEFT.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "../numeric/dtype.h"

namespace sinter {

/// A matrix somewhere in a source: element (i, j) is the one at i * row_stride + j * column_stride.
struct Factor {
  const std::byte* data = nullptr;
  Dtype dtype = Dtype::F32;
  uint64_t row_stride = 0;
  uint64_t column_stride = 0;
};

enum class Magnitude { none, rows, columns };

struct Patch {
  uint64_t begin, end;
  uint32_t rank;
  double scale;
  bool replaces;
  /// [end - begin, rank]; without data: ones.
  Factor left;
  /// [rank, columns].
  Factor right;
  Magnitude along = Magnitude::none;
  /// A number for each row of the patch, or for each column.
  Factor magnitude;

  /// Made once for an op, in its work type: `right` in rows of `InputPatches::stride` elements, padded with zeros.
  std::vector<float> right32;
  std::vector<double> right64;
  /// magnitude / norm, for each row of the patch or each column.
  std::vector<double> ratio;
};

struct RowPiece;

/// All patches of one input, or of one piece that its rows are gathered from: in the order of their rows, no row in two
/// of them.
struct InputPatches {
  int input = 0;
  /// Owned by the input's gather; null where the input is its own tensor.
  const RowPiece* piece = nullptr;
  /// Which of the op's this is.
  size_t number = 0;
  uint64_t columns = 1;
  std::vector<Patch> patches;

  /// Elements from one row of a made factor to the next.
  uint64_t stride() const { return (columns + 31) / 32 * 32; }

  /// The patch that changes a row; null where none does.
  const Patch* of_row(uint64_t row) const {
    size_t low = 0;
    size_t high = patches.size();
    while (low < high) {
      const size_t middle = (low + high) / 2;
      if (patches[middle].end <= row) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low < patches.size() && patches[low].begin <= row ? &patches[low] : nullptr;
  }
};

}  // namespace sinter
