// The loops over single vectors that stand beside the matrix products, compiled for each instruction set. Sums have a
// fixed order of their own, so that all sets give the same bytes.
#pragma once

#include <cstdint>
#include <string>

namespace sinter {

struct VectorLoops {
  const char* target;
  /// Sum of the products, in float64.
  double (*dot)(const float* a, const float* b, uint64_t count);
  /// sum += weight x row.
  void (*add)(const float* row, uint64_t count, double weight, double* sum);
  /// The largest |value|; 0 where there is none. NaN is never larger.
  float (*largest)(const float* values, uint64_t count);
};

/// Those of the highest set that this CPU runs.
const VectorLoops& vector_loops();

}  // namespace sinter
