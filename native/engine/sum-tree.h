// The fixed tree in which partial sums of blocks are added: pairwise by index, so that the result depends on the number
// of blocks alone, never on threads.
#pragma once

#include <cstddef>

namespace sinter {

/// Sum of `count` values that lie `stride` apart.
inline double sum_tree(const double* values, size_t count, size_t stride) {
  if (count == 0) return 0.0;
  if (count == 1) return values[0];
  size_t half = 1;
  while (half * 2 < count) half *= 2;
  return sum_tree(values, half, stride) + sum_tree(values + half * stride, count - half, stride);
}

}  // namespace sinter
