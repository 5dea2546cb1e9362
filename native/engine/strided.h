// Views whose elements do not lie one after another: transposed, cut out of a wider tensor, or repeated (stride 0), as
// PyTorch's files may hold them. Passes gather them into a buffer, a chunk at a time, and then go on as with any other.
//
// Rows of a transposed view lie across all of its storage: a chunk touches a cache line per element, and the next rows
// find those lines in the second-level cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sinter {

/// Sizes and strides (in elements) of each dimension, the last one fastest. None for a single element.
struct StridedLayout {
  std::vector<uint64_t> sizes;
  std::vector<uint64_t> strides;

  /// Elements from the first to the last in storage, both included; 0 where a size is. UINT64_MAX where that overflows.
  uint64_t extent() const;
  /// Dimensions of one element left out, those that lie one after another joined.
  StridedLayout simplified() const;
};

/// Most dimensions of a view: what PyTorch allows.
constexpr size_t kMaxDimensions = 64;

/// Copies `n` elements of `width` bytes (1, 2, 4 or 8), from number `begin` on in the order of the shape, next to each
/// other. `data` is where element 0 lies; the layout has at most kMaxDimensions dimensions and at least `begin + n`
/// elements.
void gather(const std::byte* data, const StridedLayout& layout, size_t width, uint64_t begin, uint64_t n,
            std::byte* to);

}  // namespace sinter
