#include "cusolver.h"

#include <optional>
#include <sstream>

#include "../io/error.h"
#include "../io/shared-library.h"

namespace sinter {
namespace {

// ---- what CUDA's headers say, as far as it is used here ----

constexpr int kSuccess = 0;
constexpr int kToDevice = 1, kToHost = 2, kWithin = 3;  // cudaMemcpyKind
constexpr int kFloat32 = 0;                             // CUDA_R_32F
constexpr signed char kVectors = 'S';

/// Newest first. cuSOLVER 11 came with CUDA 11 and 12, cuSOLVER 12 with CUDA 13; either works with the runtime's copy
/// that is found, because all share the device's primary context.
constexpr const char* kSolverNames[] = {"libcusolver.so.12", "libcusolver.so.11"};
constexpr const char* kRuntimeNames[] = {"libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0"};
constexpr int kLeastVersion = 11, kMostVersion = 12;

/// Calls `use` with libraries of these names, of each folder and then where the system's loader looks, until it throws no
/// Failure: the newest may be too new for the driver.
/// @param folders separated by colons. Throws what kept the first library that is there from being used.
template <size_t kCount, class Use>
void open_first(const std::string& folders, const char* const (&names)[kCount], const Use& use) {
  std::vector<std::string> places;
  std::istringstream words(folders);
  for (std::string folder; std::getline(words, folder, ':');) {
    if (!folder.empty()) places.push_back(folder + "/");
  }
  places.emplace_back();
  std::optional<Failure> failure;
  for (const std::string& place : places) {
    for (const char* name : names) {
      const SharedLibrary library(place + name);
      try {
        if (library.handle != nullptr) return use(library);
        if (library.is_broken) throw Failure("NO_SOLVER", place + name + " does not load: " + library.reason);
      } catch (const Failure& caught) {
        if (!failure) failure = caught;
      }
    }
  }
  if (failure) throw *failure;
  throw Failure("NO_SOLVER", std::string("no ") + names[0] + " or older is found by the system's loader");
}

template <class Function>
void find(const SharedLibrary& library, const char* name, Function*& function) {
  if (!library.find(name, function)) {
    throw Failure("NO_SOLVER", std::string("the library that is there has no ") + name);
  }
}

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version / 10 % 100);
}

}  // namespace

struct Cusolver::Functions {
  // libcudart
  int (*device_count)(int*);
  int (*set_device)(int);
  int (*runtime_version)(int*);
  int (*allocate)(void**, size_t);
  int (*release)(void*);
  int (*copy)(void*, const void*, size_t, int);
  const char* (*error_text)(int);
  // libcusolver
  int (*property)(int, int*);
  int (*create)(void**);
  int (*destroy)(void*);
  int (*create_parameters)(void**);
  int (*destroy_parameters)(void*);
  int (*room)(void*, void*, signed char, signed char, int64_t, int64_t, int64_t, int64_t, int64_t, int, const void*,
              int64_t, int, const void*, int, const void*, int64_t, int, const void*, int64_t, int, size_t*, size_t*);
  int (*decompose)(void*, void*, signed char, signed char, int64_t, int64_t, int64_t, int64_t, int64_t, int, void*,
                   int64_t, int, void*, int, void*, int64_t, int, void*, int64_t, int, void*, size_t, void*, size_t,
                   int*);
};

std::shared_ptr<Cusolver> Cusolver::open(const std::string& folders, int device) {
  const std::shared_ptr<Cusolver> solver(new Cusolver());
  solver->functions_ = std::make_unique<Functions>();
  solver->device_ = device;
  int count = 0;
  open_first(folders, kRuntimeNames, [&](const SharedLibrary& library) { count = solver->take_runtime(library); });
  if (device >= count) {
    throw Failure("NO_SOLVER", "there is no device " + std::to_string(device) + ": CUDA sees " + std::to_string(count));
  }
  solver->check_cuda(solver->functions_->set_device(device), "opening the device");
  open_first(folders, kSolverNames, [&](const SharedLibrary& library) { solver->take_solver(library); });
  return solver;
}

/// @returns how many devices it sees.
int Cusolver::take_runtime(const SharedLibrary& library) {
  Functions& f = *functions_;
  find(library, "cudaGetDeviceCount", f.device_count);
  find(library, "cudaSetDevice", f.set_device);
  find(library, "cudaRuntimeGetVersion", f.runtime_version);
  find(library, "cudaMalloc", f.allocate);
  find(library, "cudaFree", f.release);
  find(library, "cudaMemcpy", f.copy);
  find(library, "cudaGetErrorString", f.error_text);
  int count = 0;
  const int status = f.device_count(&count);
  if (status != kSuccess) throw Failure("NO_SOLVER", std::string("CUDA says: ") + f.error_text(status));
  return count;
}

void Cusolver::take_solver(const SharedLibrary& library) {
  Functions& f = *functions_;
  find(library, "cusolverGetProperty", f.property);
  find(library, "cusolverDnCreate", f.create);
  find(library, "cusolverDnDestroy", f.destroy);
  find(library, "cusolverDnCreateParams", f.create_parameters);
  find(library, "cusolverDnDestroyParams", f.destroy_parameters);
  find(library, "cusolverDnXgesvdr_bufferSize", f.room);
  find(library, "cusolverDnXgesvdr", f.decompose);
  int version[3] = {};  // major, minor, patch
  int cuda = 0;
  for (int part = 0; part < 3; part++) check_solver(f.property(part, &version[part]), "asking for its version");
  check_cuda(f.runtime_version(&cuda), "asking for its version");
  const std::string text =
      std::to_string(version[0]) + "." + std::to_string(version[1]) + "." + std::to_string(version[2]);
  if (version[0] < kLeastVersion || version[0] > kMostVersion) {
    throw Failure("NO_SOLVER", "cuSOLVER " + text + " is there, and versions 11 and 12 are known");
  }
  try {
    check_solver(f.create(&handle_), "opening the device");
    check_solver(f.create_parameters(&parameters_), "opening the device");
  } catch (const Failure&) {
    close();
    throw;
  }
  name_ = "cuSOLVER " + text + ", CUDA " + version_text(cuda) + ", device " + std::to_string(device_);
}

/// Before functions of another library take the place of those that made it.
void Cusolver::close() {
  if (parameters_ != nullptr) functions_->destroy_parameters(parameters_);
  if (handle_ != nullptr) functions_->destroy(handle_);
  parameters_ = handle_ = nullptr;
}

Cusolver::~Cusolver() { close(); }

void Cusolver::check_cuda(int status, const char* what) const {
  if (status == kSuccess) return;
  throw Failure("SOLVER_FAILED", std::string("CUDA: ") + functions_->error_text(status) + " while " + what);
}

void Cusolver::check_solver(int status, const char* what) const {
  if (status == kSuccess) return;
  throw Failure("SOLVER_FAILED", "cuSOLVER: status " + std::to_string(status) + " while " + what);
}

std::unique_ptr<Cusolver::Upload> Cusolver::upload(const Matrix& matrix, uint64_t count, uint64_t spare) {
  const std::lock_guard lock(mutex_);
  check_cuda(functions_->set_device(device_), "choosing the device");
  return std::make_unique<Upload>(*this, matrix, count, spare);
}

Cusolver::Upload::Upload(Cusolver& solver, const Matrix& matrix, uint64_t count, uint64_t spare)
    : solver_(solver),
      rows_(static_cast<int64_t>(matrix.rows)),
      columns_(static_cast<int64_t>(matrix.columns)),
      count_(static_cast<int64_t>(count)),
      spare_(static_cast<int64_t>(spare)) {
  try {
    const uint64_t bytes = matrix.rows * matrix.columns * sizeof(float);
    const uint64_t wide = count + spare;
    matrix_ = allocate(bytes);
    work_matrix_ = allocate(bytes);
    values_ = allocate(wide * sizeof(float));
    left_ = allocate(matrix.rows * wide * sizeof(float));
    right_ = allocate(matrix.columns * wide * sizeof(float));
    info_ = allocate(sizeof(int));
    solver_.check_cuda(solver_.functions_->copy(matrix_, matrix.data, bytes, kToDevice),
                       "copying a matrix to the device");
  } catch (...) {
    for (void* const one : memory_) solver_.functions_->release(one);
    throw;
  }
}

Cusolver::Upload::~Upload() {
  const std::lock_guard lock(solver_.mutex_);
  solver_.functions_->set_device(solver_.device_);
  for (void* const one : memory_) solver_.functions_->release(one);
}

void* Cusolver::Upload::allocate(uint64_t bytes) {
  void* memory = nullptr;
  solver_.check_cuda(solver_.functions_->allocate(&memory, bytes), "taking memory for a matrix");
  memory_.push_back(memory);
  return memory;
}

Subspace Cusolver::leading(const Upload& up, int iterations) {
  const std::lock_guard lock(mutex_);
  const Functions& f = *functions_;
  check_cuda(f.set_device(device_), "choosing the device");
  size_t device_bytes = 0, host_bytes = 0;
  check_solver(f.room(handle_, parameters_, kVectors, kVectors, up.rows_, up.columns_, up.count_, up.spare_, iterations,
                      kFloat32, up.work_matrix_, up.rows_, kFloat32, up.values_, kFloat32, up.left_, up.rows_, kFloat32,
                      up.right_, up.columns_, kFloat32, &device_bytes, &host_bytes),
               "asking for the room that it needs");
  std::vector<std::byte> host(host_bytes);
  void* work = nullptr;
  if (device_bytes > 0) check_cuda(f.allocate(&work, device_bytes), "taking memory to work in");
  const std::shared_ptr<void> freed(work, [&f](void* memory) {
    if (memory != nullptr) f.release(memory);
  });
  // The routine may overwrite the matrix.
  const size_t bytes = static_cast<size_t>(up.rows_ * up.columns_) * sizeof(float);
  check_cuda(f.copy(up.work_matrix_, up.matrix_, bytes, kWithin), "copying a matrix");
  check_solver(f.decompose(handle_, parameters_, kVectors, kVectors, up.rows_, up.columns_, up.count_, up.spare_,
                           iterations, kFloat32, up.work_matrix_, up.rows_, kFloat32, up.values_, kFloat32, up.left_,
                           up.rows_, kFloat32, up.right_, up.columns_, kFloat32, work, device_bytes, host.data(),
                           host_bytes, static_cast<int*>(up.info_)),
               "decomposing");
  int info = 0;
  check_cuda(f.copy(&info, up.info_, sizeof(info), kToHost), "decomposing");
  if (info != 0) throw Failure("SOLVER_FAILED", "cuSOLVER: info " + std::to_string(info) + " while decomposing");
  Subspace found;
  found.count = static_cast<uint64_t>(up.count_);
  found.vectors.resize(static_cast<size_t>(up.rows_ * up.count_));
  found.values.resize(static_cast<size_t>(up.count_));
  check_cuda(f.copy(found.vectors.data(), up.left_, found.vectors.size() * sizeof(float), kToHost),
             "copying vectors back");
  check_cuda(f.copy(found.values.data(), up.values_, found.values.size() * sizeof(float), kToHost),
             "copying values back");
  return found;
}

}  // namespace sinter
