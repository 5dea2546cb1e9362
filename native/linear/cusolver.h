// NVIDIA's cuSOLVER, opened at run time where it is there: the leading singular vectors of a large matrix.
//
// Nothing of CUDA is linked and no header of it is needed: the few functions are declared in cusolver.cc. What is computed
// is `cusolverDnXgesvdr`, block power iteration on random vectors as in svd.h, in float32. How far its answer may be
// trusted is not decided here: svd.cc makes values, vectors and the residual of it by itself.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gemm.h"

namespace sinter {

struct SharedLibrary;

/// A subspace that holds the leading left singular vectors of a matrix, as far as the device found them.
struct Subspace {
  /// `count` vectors of as many elements as the matrix has rows, one after the other.
  std::vector<float> vectors;
  uint64_t count = 0;
  /// What the device takes for the singular values, descending.
  std::vector<float> values;
};

/// One device. Calls from several threads wait for each other. Throws Failure: NO_SOLVER where the libraries or the device
/// are not there, SOLVER_FAILED with one line where it does not do what it should.
class Cusolver {
 public:
  /// @param folders where libcusolver and libcudart are looked for before the places that the system's loader knows, separated
  /// by colons; may be empty. @param device counted from 0.
  static std::shared_ptr<Cusolver> open(const std::string& folders, int device);
  ~Cusolver();
  Cusolver(const Cusolver&) = delete;
  Cusolver& operator=(const Cusolver&) = delete;

  /// Versions and device, for people.
  const std::string& name() const { return name_; }

  /// A matrix in the device's memory, and room for what is made of it: as large again.
  class Upload;
  /// @param matrix of float32, its columns contiguous: `row_stride` 1, `column_stride` the number of rows.
  /// @param count vectors wanted, and @param spare more of them to iterate on: at most as many as either side, together.
  std::unique_ptr<Upload> upload(const Matrix& matrix, uint64_t count, uint64_t spare);
  /// After so many power iterations, from new random vectors.
  Subspace leading(const Upload& upload, int iterations);

 private:
  struct Functions;
  Cusolver() = default;
  int take_runtime(const SharedLibrary& library);
  void take_solver(const SharedLibrary& library);
  void close();
  void check_cuda(int status, const char* what) const;
  void check_solver(int status, const char* what) const;

  std::unique_ptr<Functions> functions_;
  std::mutex mutex_;
  std::string name_;
  int device_ = 0;
  void* handle_ = nullptr;
  void* parameters_ = nullptr;
};

/// Device memory of one matrix. Given back when it goes.
class Cusolver::Upload {
 public:
  Upload(Cusolver& solver, const Matrix& matrix, uint64_t count, uint64_t spare);
  ~Upload();
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

 private:
  friend class Cusolver;
  void* allocate(uint64_t bytes);

  Cusolver& solver_;
  std::vector<void*> memory_;
  int64_t rows_, columns_, count_, spare_;
  void* matrix_ = nullptr;
  void* work_matrix_ = nullptr;
  void* values_ = nullptr;
  void* left_ = nullptr;
  void* right_ = nullptr;
  void* info_ = nullptr;
};

}  // namespace sinter
