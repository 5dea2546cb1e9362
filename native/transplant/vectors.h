// Rows of stored matrices (embeddings, heads) as float32 vectors in memory, and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "../linear/team.h"
#include "../numeric/dtype.h"

namespace sinter {

/// A stored matrix, row-major, one row per token. Owned by whoever maps the file.
struct StoredRows {
  const std::byte* data = nullptr;
  Dtype dtype = Dtype::F32;
  uint64_t rows = 0;
  uint64_t width = 0;

  const std::byte* row(uint64_t index) const { return data + index * width * element_size(dtype); }
};

/// Vectors of one length, row-major.
struct Vectors {
  uint64_t rows = 0;
  uint64_t width = 0;
  std::vector<float> values;

  Vectors() = default;
  Vectors(uint64_t rows, uint64_t width) : rows(rows), width(width), values(rows * width) {}
  float* row(uint64_t index) { return values.data() + index * width; }
  const float* row(uint64_t index) const { return values.data() + index * width; }
};

/// One row, widened; float64 is rounded to float32.
void widen_row(const StoredRows& from, uint64_t row, float* to);

/// `to` += weight x row, in float64.
void add_row(const StoredRows& from, uint64_t row, double weight, double* to);

/// Rounds once; every NaN becomes the one pattern of the dtype.
void narrow_row(const double* from, uint64_t width, Dtype dtype, std::byte* to);

/// The rows with these numbers, in this order.
Vectors gather_rows(Team& team, const StoredRows& from, const std::vector<uint32_t>& indices);

/// Mean of all rows, in float64. Added up in blocks of rows whose size does not depend on the team.
std::vector<double> mean_of_rows(Team& team, const StoredRows& from);
std::vector<double> mean_of_rows(Team& team, const Vectors& from);

/// Sum of the products of two vectors, in float64.
double dot(const float* a, const float* b, uint64_t count);

}  // namespace sinter
