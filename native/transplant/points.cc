#include "points.h"

#include <algorithm>
#include <ctime>

namespace sinter {
namespace {

/// Vectors of one block: with a tile of points and the products, they fill about half a megabyte.
constexpr uint64_t kBlockVectors = 96;

uint64_t ceil_div(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

/// CPU time of the calling thread.
uint64_t thread_nanoseconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace

PackedPoints::PackedPoints(Team& team, const Vectors& points, const ProductKernels& kernels)
    : count_(points.rows), width_(points.width), kernels_(kernels) {
  block_floats_ = ceil_div(kTilePoints, kernels.tile_columns) * kernels.column_panel;
  const uint64_t depths = ceil_div(width_, kDepthBlock);
  packed_.resize(tiles() * depths * block_floats_);
  team.run(tiles(), [&](uint64_t tile) {
    const uint64_t first = tile * kTilePoints;
    for (uint64_t d = 0; d < depths; d++) {
      // A point is a column of the right operand: its elements lie next to each other.
      const StoredBlock block{reinterpret_cast<const std::byte*>(points.row(first) + d * kDepthBlock), Dtype::F32, 1,
                              width_};
      kernels_.pack_columns(block, std::min(kTilePoints, count_ - first),
                            std::min(kDepthBlock, width_ - d * kDepthBlock),
                            packed_.data() + (tile * depths + d) * block_floats_);
    }
  });
}

void PackedPoints::multiply(Team& team, const Vectors& vectors, Watch& watch,
                            const std::function<void(const Block&)>& take) const {
  const uint64_t depths = ceil_div(width_, kDepthBlock);
  const uint64_t blocks = ceil_div(vectors.rows, kBlockVectors);
  const uint64_t panel_floats = ceil_div(kBlockVectors, kernels_.tile_rows) * kernels_.row_panel;
  std::vector<float> panels(blocks * depths * panel_floats);
  team.run(blocks, [&](uint64_t b) {
    const uint64_t first = b * kBlockVectors;
    for (uint64_t d = 0; d < depths; d++) {
      const StoredBlock block{reinterpret_cast<const std::byte*>(vectors.row(first) + d * kDepthBlock), Dtype::F32,
                              width_, 1};
      kernels_.pack_rows(block, std::min(kBlockVectors, vectors.rows - first),
                         std::min(kDepthBlock, width_ - d * kDepthBlock),
                         panels.data() + (b * depths + d) * panel_floats);
    }
  });
  team.run(tiles(), [&](uint64_t tile) {
    thread_local std::vector<float> products;
    products.resize(kBlockVectors * kTilePoints);
    const uint64_t points = std::min(kTilePoints, count_ - tile * kTilePoints);
    uint64_t spent = 0;
    for (uint64_t b = 0; b < blocks; b++) {
      const uint64_t first = b * kBlockVectors;
      const uint64_t rows = std::min(kBlockVectors, vectors.rows - first);
      const uint64_t start = thread_nanoseconds();
      for (uint64_t d = 0; d < depths; d++) {
        kernels_.multiply(panels.data() + (b * depths + d) * panel_floats, rows,
                          packed_.data() + (tile * depths + d) * block_floats_, points,
                          std::min(kDepthBlock, width_ - d * kDepthBlock), 1.0f, d == 0 ? 0.0f : 1.0f, products.data(),
                          kTilePoints);
      }
      spent += thread_nanoseconds() - start;
      take({tile, first, rows, points, products.data(), kTilePoints});
    }
    watch.product_nanoseconds += spent;
    watch.multiply_adds += vectors.rows * points * width_;
  });
}

}  // namespace sinter
