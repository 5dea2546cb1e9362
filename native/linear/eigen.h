// Eigen's headers, for everything that uses them. A size that does not fit is an exception here, which becomes an error of
// the op: Eigen's own assertions end the process, and without any it would read beyond its matrices.
#pragma once

#include <stdexcept>

#define eigen_assert(condition) \
  ((condition) ? static_cast<void>(0) : throw std::logic_error("linear algebra: " #condition " does not hold"))

#include <Eigen/Cholesky>
#include <Eigen/Dense>
#include <Eigen/SVD>
