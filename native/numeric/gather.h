// Rows of a stored matrix as float, such as a table of embeddings has for each token.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dtype.h"

namespace sinter {

/// Row `ids[i]` of the matrix at `data` goes to `out + i * columns`; float64 is rounded to float.
void gather_rows(const std::byte* data, Dtype dtype, uint64_t columns, const int32_t* ids, size_t count, float* out);

}  // namespace sinter
