// The largest singular values of a matrix and their vectors: what an adapter of limited rank can keep of a difference.
//
// Small matrices, and those of which most is asked, are decomposed exactly (divide and conquer on float64). Of others the
// leading subspace is found by block power iteration on random vectors: N. Halko, P.-G. Martinsson, J. A. Tropp, "Finding
// structure with randomness", SIAM Review 53 (2011), algorithm 4.4. It goes on until an iteration takes less than
// two thousandths off the residual's norm. Vectors are made orthonormal by shifted Cholesky factors of their Gram matrix:
// T. Fukaya et al., "Shifted Cholesky QR for computing the QR factorization of ill-conditioned matrices", SIAM J. Sci.
// Comput. 42 (2020). Those of the longer side are made so but roughly until the last iteration, which is enough for small
// singular values not to drown in the roundings of large ones. Products are float32, everything of the size of the rank is
// float64.
//
// A device (cusolver.h) may do the iterations: it is asked for the subspace after 2, 4, 8 and 16 of them, until the residual
// that it claims settles as above. Its vectors then stand for `left` in the last step of the algorithm, so that values,
// vectors and the residual are made here; an answer whose residual is more than 1 % above what was claimed, in norm, is
// refused.
//
// Results depend on the instruction set (fused multiply-adds), not on the number of threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cusolver.h"
#include "gemm.h"

namespace sinter {

struct SvdRequest {
  /// Most singular values that are wanted.
  uint64_t rank = 1;
  /// Those at or below are left out; 0 keeps zeros, too.
  double epsilon = 0.0;
  /// Stop at the first rank that keeps this share of the sum of squares; 1 or more: keep `rank`.
  double share = 1.0;
  uint64_t seed = 0;
};

/// matrix ~ left * diag(values) * right. Rank 0 where the matrix is zero, or nothing exceeds epsilon.
struct Svd {
  /// [rows, kept] and [kept, columns], row-major without gaps, orthonormal.
  std::vector<float> left, right;
  /// Descending.
  std::vector<double> values;
  /// Sum of the squares of all elements.
  double energy = 0.0;
  /// Power iterations; 0 where the decomposition is exact.
  int iterations = 0;
  /// Whether a device found the subspace; and why not, where it was asked to and could not.
  bool on_device = false;
  std::string refused;
};

/// @param device where it is not null, large matrices are given to it; what it cannot do is done here.
/// Throws Failure CANCELLED where `cancelled` becomes true, BAD_ARGUMENT where an element is a NaN or an infinity.
Svd truncated_svd(Team& team, const Matrix& matrix, const SvdRequest& request, const std::atomic<bool>& cancelled,
                  Cusolver* device = nullptr);

/// The same of scale * b * a, where `b` [rows, n] and `a` [n, columns] have few columns and rows: exact, and the product is
/// never made.
Svd product_svd(Team& team, const Matrix& b, const Matrix& a, double scale, const SvdRequest& request);

}  // namespace sinter
