// Products of a batch of vectors with many points, tile by tile, the points packed once for all batches.
#pragma once

#include <functional>

#include "../linear/kernels.h"
#include "vectors.h"
#include "watch.h"

namespace sinter {

/// Points ready to be multiplied. Holds a float32 copy of them, zeros beyond the last tile's end.
class PackedPoints {
 public:
  /// Points of one tile: what a task multiplies with a block of vectors while both stay in the second-level cache.
  static constexpr uint64_t kTilePoints = 256;

  PackedPoints(Team& team, const Vectors& points, const ProductKernels& kernels);

  uint64_t count() const { return count_; }
  uint64_t tiles() const { return (count_ + kTilePoints - 1) / kTilePoints; }

  /// Calls `take` for each tile and block of vectors with their products: `products[i * stride + j]` is vector
  /// `first_vector` + i times point tile * kTilePoints + j. Calls come from all threads of the team; those for one tile
  /// come from one thread.
  struct Block {
    uint64_t tile, first_vector, vectors, points;
    float* products;
    uint64_t stride;
  };
  void multiply(Team& team, const Vectors& vectors, Watch& watch, const std::function<void(const Block&)>& take) const;

 private:
  uint64_t count_;
  uint64_t width_;
  /// Floats of one depth block of one tile.
  uint64_t block_floats_;
  const ProductKernels& kernels_;
  std::vector<float> packed_;
};

}  // namespace sinter
