// Sums of products over many rows: covariances and what two sets of rows have in common.
#pragma once

#include "../linear/eigen.h"

#include "../linear/gemm.h"
#include "vectors.h"

namespace sinter {

/// A^T B for matrices with as many rows: float32 products of blocks of 4096 rows, added up in float64.
Eigen::MatrixXd crossed(Team& team, const Vectors& a, const Vectors& b, const ProductKernels& kernels);

/// The rows less their mean, which may be other rows' mean.
void centre(Team& team, Vectors& rows, const std::vector<double>& mean);

/// Covariance of all rows of a stored matrix, divided by their number.
Eigen::MatrixXd covariance(Team& team, const StoredRows& rows, const std::vector<double>& mean,
                           const ProductKernels& kernels);

}  // namespace sinter
