// An input whose rows lie in another order than its file's, or in several files: an embedding that is merged by token and
// not by row number. The rows are found while chunks are read, so that no reordered copy of the matrix is ever made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "../numeric/dtype.h"
#include "patch.h"

namespace sinter {

/// Rows of this op's width, one after the other in one file.
struct RowPiece {
  const std::byte* data;
  Dtype dtype;
  uint64_t rows;
  /// What is changed in them as they are read; null where nothing is.
  const InputPatches* patches = nullptr;
};

/// One row of a piece: where its elements lie, and which row of the piece it is.
struct GatheredRow {
  const std::byte* data;
  Dtype dtype;
  uint64_t row;
  const InputPatches* patches;
};

struct RowGather {
  /// Codes below zero: a row of zeros; the mean of all rows that have another code than this one; and from kMixed down the
  /// mean of the rows that `mixes` lists from [kMixed - code] on, their number first.
  static constexpr int32_t kZeros = -1;
  static constexpr int32_t kMean = -2;
  static constexpr int32_t kMixed = -3;

  /// Counted through all pieces from 0: row number r of the piece p is r plus the rows of the pieces before p.
  std::vector<RowPiece> pieces;
  /// One code per row of the tensor.
  std::vector<int32_t> rows;
  std::vector<int32_t> mixes;
  /// Elements of a row.
  uint64_t width = 1;
  /// Rows that have a code other than kMean; 0 where no row has kMean, and no mean is wanted.
  uint64_t averaged = 0;
  /// Found before the other passes where it is wanted.
  std::vector<double> mean;

  GatheredRow at(int32_t row) const {
    uint64_t left = static_cast<uint64_t>(row);
    size_t piece = 0;
    while (left >= pieces[piece].rows) left -= pieces[piece++].rows;
    const RowPiece& found = pieces[piece];
    return {found.data + left * width * element_size(found.dtype), found.dtype, left, found.patches};
  }
};

}  // namespace sinter
