// The fixed tree in which partial sums of blocks are added: pairwise by index, so that the result depends on the number
// of blocks alone, never on threads.
#pragma once

#include <cstddef>

#include "../numeric/target.h"

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

SINTER_KERNEL_NAMESPACE_BEGIN

/// The same sum of values that come one after the other, up to 2^16 of them.
class SumTree {
 public:
  SINTER_HD void add(double value) {
    for (size_t full = added_++; full % 2 == 1; full /= 2) value = part_[--parts_] + value;
    part_[parts_++] = value;
  }

  SINTER_HD double sum() const {
    if (parts_ == 0) return 0.0;
    double sum = part_[parts_ - 1];
    for (int i = parts_ - 2; i >= 0; i--) sum = part_[i] + sum;
    return sum;
  }

 private:
  size_t added_ = 0;
  int parts_ = 0;
  /// Sums of powers of two of values, the largest first.
  double part_[17];
};

SINTER_KERNEL_NAMESPACE_END
