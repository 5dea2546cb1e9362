// What libcudart and libcusolver offer to native/linear/cusolver.cc, computed on the CPU in host memory: for tests of a
// machine without a device. Names and parameters are those of NVIDIA's libraries. The name of the folder that it lies in
// says what goes wrong.

#include <dlfcn.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>
#include <vector>

namespace {

/// Whether the library lies in a folder of this name.
bool is(const char* mode) {
  Dl_info own;
  dladdr(reinterpret_cast<const void*>(&is), &own);
  return std::string(own.dli_fname).find(std::string("/") + mode + "/") != std::string::npos;
}

std::set<void*> memory;
int most_iterations = 0;

using Columns = std::vector<std::vector<double>>;

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); i++) sum += a[i] * b[i];
  return sum;
}

/// Modified Gram-Schmidt, twice.
void orthonormalise(Columns& columns) {
  for (size_t j = 0; j < columns.size(); j++) {
    for (int pass = 0; pass < 2; pass++) {
      for (size_t k = 0; k < j; k++) {
        const double part = dot(columns[k], columns[j]);
        for (size_t i = 0; i < columns[j].size(); i++) columns[j][i] -= part * columns[k][i];
      }
    }
    const double norm = std::sqrt(dot(columns[j], columns[j]));
    for (double& x : columns[j]) x /= norm;
  }
}

/// Columns of A times `from`, or of A^T. A is column-major.
Columns product(const float* a, int64_t m, int64_t n, bool transposed, const Columns& from) {
  Columns to(from.size(), std::vector<double>(static_cast<size_t>(transposed ? n : m)));
  for (size_t c = 0; c < from.size(); c++) {
    for (int64_t j = 0; j < n; j++) {
      for (int64_t i = 0; i < m; i++) {
        const double x = a[j * m + i];
        if (transposed) {
          to[c][j] += x * from[c][i];
        } else {
          to[c][i] += x * from[c][j];
        }
      }
    }
  }
  return to;
}

/// Eigenvalues and vectors (columns) of a symmetric matrix, by Jacobi's rotations; not in order.
void jacobi(Columns& s, Columns& vectors) {
  const size_t n = s.size();
  vectors.assign(n, std::vector<double>(n));
  for (size_t i = 0; i < n; i++) vectors[i][i] = 1.0;
  for (int sweep = 0; sweep < 30; sweep++) {
    for (size_t p = 0; p < n; p++) {
      for (size_t q = p + 1; q < n; q++) {
        if (std::fabs(s[p][q]) < 1e-300) continue;
        const double angle = 0.5 * std::atan2(2.0 * s[p][q], s[q][q] - s[p][p]);
        const double c = std::cos(angle), d = std::sin(angle);
        for (size_t k = 0; k < n; k++) {
          const double x = s[k][p], y = s[k][q];
          s[k][p] = c * x - d * y;
          s[k][q] = d * x + c * y;
        }
        for (size_t k = 0; k < n; k++) {
          const double x = s[p][k], y = s[q][k];
          s[p][k] = c * x - d * y;
          s[q][k] = d * x + c * y;
          const double v = vectors[p][k], w = vectors[q][k];
          vectors[p][k] = c * v - d * w;
          vectors[q][k] = d * v + c * w;
        }
      }
    }
  }
}

}  // namespace

extern "C" {

// ---- for the test ----

int fake_allocations() { return static_cast<int>(memory.size()); }
int fake_iterations() { return most_iterations; }

// ---- libcudart ----

int cudaGetDeviceCount(int* count) {
  *count = 1;
  return is("no_device") ? 100 : 0;
}
int cudaSetDevice(int device) { return device == 0 ? 0 : 101; }
int cudaRuntimeGetVersion(int* version) {
  *version = 12040;
  return 0;
}
int cudaMalloc(void** to, size_t bytes) {
  if (is("no_memory")) return 2;
  *to = std::malloc(bytes + 1);
  memory.insert(*to);
  return 0;
}
int cudaFree(void* from) {
  if (memory.erase(from) == 0) return 1;
  std::free(from);
  return 0;
}
int cudaMemcpy(void* to, const void* from, size_t bytes, int) {
  std::memcpy(to, from, bytes);
  return 0;
}
const char* cudaGetErrorString(int status) {
  return status == 2 ? "out of memory" : status == 100 ? "no CUDA-capable device is detected" : "invalid device ordinal";
}

// ---- libcusolver ----

int cusolverGetProperty(int part, int* value) {
  const int version[] = {is("old_version") ? 10 : 11, 6, 4};
  *value = version[part];
  return 0;
}
int cusolverDnCreate(void** handle) {
  if (is("too_new")) return 1;
  *handle = std::malloc(1);
  return 0;
}
int cusolverDnDestroy(void* handle) {
  std::free(handle);
  return 0;
}
int cusolverDnCreateParams(void** parameters) {
  *parameters = std::malloc(1);
  return 0;
}
int cusolverDnDestroyParams(void* parameters) {
  std::free(parameters);
  return 0;
}

int cusolverDnXgesvdr_bufferSize(void*, void*, signed char, signed char, int64_t m, int64_t n, int64_t k, int64_t p,
                                 int64_t, int, const void*, int64_t, int, const void*, int, const void*, int64_t, int,
                                 const void*, int64_t, int, size_t* on_device, size_t* on_host) {
  *on_device = 64;
  *on_host = 64;
  return k + p > m || k + p > n ? 3 : 0;
}

int cusolverDnXgesvdr(void*, void*, signed char, signed char, int64_t m, int64_t n, int64_t k, int64_t p,
                      int64_t iterations, int, void* matrix, int64_t, int, void* values, int, void* left, int64_t, int,
                      void* right, int64_t, int, void*, size_t, void*, size_t, int* info) {
  if (is("fails")) return 6;
  const bool not_finite = is("not_finite"), wrong_vectors = is("wrong_vectors");
  if (iterations > most_iterations) most_iterations = static_cast<int>(iterations);
  float* const a = static_cast<float*>(matrix);
  Columns block(static_cast<size_t>(k + p), std::vector<double>(static_cast<size_t>(n)));
  uint64_t state = 88172645463325252u;
  for (auto& column : block) {
    for (double& x : column) {
      state ^= state << 13, state ^= state >> 7, state ^= state << 17;
      x = static_cast<double>(state >> 11) * 0x1p-53 - 0.5;
    }
  }
  for (int64_t i = 0; i < iterations; i++) {
    Columns q = product(a, m, n, false, block);
    orthonormalise(q);
    block = product(a, m, n, true, q);
    orthonormalise(block);
  }
  // A V, and the eigenvectors of its Gram matrix, turn the block into singular vectors.
  const Columns av = product(a, m, n, false, block);
  Columns gram(av.size(), std::vector<double>(av.size()));
  for (size_t i = 0; i < av.size(); i++) {
    for (size_t j = 0; j < av.size(); j++) gram[i][j] = dot(av[i], av[j]);
  }
  Columns vectors;
  jacobi(gram, vectors);
  std::vector<bool> taken(av.size());
  for (int64_t c = 0; c < k; c++) {
    size_t best = av.size();
    for (size_t i = 0; i < av.size(); i++) {
      if (!taken[i] && (best == av.size() || gram[i][i] > gram[best][best])) best = i;
    }
    taken[best] = true;
    const double value = std::sqrt(std::fmax(gram[best][best], 0.0));
    static_cast<float*>(values)[c] = static_cast<float>(value);
    for (int64_t i = 0; i < m; i++) {
      double sum = 0.0;
      for (size_t j = 0; j < av.size(); j++) sum += av[j][static_cast<size_t>(i)] * vectors[best][j];
      if (wrong_vectors) sum = c == i ? value : 0.0;
      static_cast<float*>(left)[c * m + i] = static_cast<float>(not_finite && i == 5 ? NAN : sum / value);
    }
    for (int64_t i = 0; i < n; i++) static_cast<float*>(right)[c * n + i] = 0.0f;
  }
  // NVIDIA's may leave anything here.
  std::memset(matrix, 0xff, static_cast<size_t>(m * n) * sizeof(float));
  *info = 0;
  return 0;
}

}  // extern "C"
