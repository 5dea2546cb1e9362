// A matrix in a file to the two factors of an adapter in another: B A ~ the matrix, B [rows, rank], A [rank, columns].
#pragma once

#include <atomic>
#include <memory>

#include "../io/sink.h"
#include "../io/source.h"
#include "svd.h"

namespace sinter {

struct LowRankTask {
  /// Elements of float32 in `source`, from `data` on; may be a transposed view.
  std::shared_ptr<Source> source;
  bool is_product = false;
  Matrix matrix;
  /// Where it is a product, scale * b * a is decomposed: of `matrix` only the shape means anything.
  Matrix b{}, a{};
  double scale = 1.0;
  SvdRequest request;
  /// The square roots of the singular values go to both factors; else all of them to A.
  bool distribute = true;
  unsigned threads = 1;
  /// Null: the CPU.
  std::shared_ptr<Cusolver> device = nullptr;
  /// The factors are written from these offsets on: as many elements as the rank needs, without gaps; but each row of B
  /// has `b_width` elements, where that is not 0, those behind the rank being zeros.
  std::shared_ptr<Sink> sink;
  uint64_t a_offset = 0;
  uint64_t b_offset = 0;
  uint64_t b_width = 0;
  Dtype dtype = Dtype::F32;
};

struct LowRankResult {
  uint64_t rank = 0;
  /// Sum of squares of the matrix, and of the singular values that were kept.
  double energy = 0.0;
  double kept = 0.0;
  double largest = 0.0;
  double smallest = 0.0;
  int iterations = 0;
  /// As in Svd.
  bool on_device = false;
  std::string refused = {};
};

/// Throws Failure: as truncated_svd, SOURCE_FAILED where the source fails, SINK_WRITE and NO_SPACE.
LowRankResult write_low_rank(const LowRankTask& task, const std::atomic<bool>& cancelled);

}  // namespace sinter
