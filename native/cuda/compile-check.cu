// Compiles every method's element functions for the device, so that the headers stay fit for the CUDA backend.
// Built by hand or in CI where nvcc is: nvcc -std=c++20 -fmad=false -c native/cuda/compile-check.cu. Never linked.

#define SINTER_TARGET cuda

#include "../methods/linear.h"
#include "../methods/slerp.h"
#include "../methods/task-vector.h"
#include "../numeric/convert.h"
#include "../numeric/philox.h"

namespace sinter {

template <class Function, class Work, int N>
__global__ void map_kernel(const Function f, const uint16_t* in, uint16_t* out, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= n) return;
  Work x[N];
  uint32_t random[N];
  for (int k = 0; k < N; k++) {
    x[k] = widen<BF16, Work>(in[k * n + i]);
    random[k] = philox(static_cast<uint32_t>(i) / 4, 0, static_cast<uint32_t>(k), 0, 0, 0).word[i % 4];
  }
  out[i] = narrow<F16>(f(x, random, i));
}

template <class Function, class Work, int N>
__global__ void reduce_kernel(const Function f, const uint16_t* in, double* out, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= n) return;
  Work x[N];
  uint32_t random[N] = {};
  for (int k = 0; k < N; k++) x[k] = widen<F16, Work>(in[k * n + i]);
  f(x, random, i, out + i * Function::kSums);
}

template <class Method, int N>
void instantiate(const Job& job) {
  map_kernel<typename Method::template Map<float, N>, float, N>
      <<<1, 1>>>(typename Method::template Map<float, N>(job), nullptr, nullptr, 0);
  map_kernel<typename Method::template Map<double, N>, double, N>
      <<<1, 1>>>(typename Method::template Map<double, N>(job), nullptr, nullptr, 0);
  if constexpr (requires { &Method::sum_count; }) {
    reduce_kernel<typename Method::template Reduce<float, N>, float, N>
        <<<1, 1>>>(typename Method::template Reduce<float, N>(job), nullptr, nullptr, 0);
  }
}

void instantiate_all(const Job& job) {
  instantiate<Linear, 3>(job);
  instantiate<Slerp, 2>(job);
  instantiate<TaskArithmetic, 3>(job);
  instantiate<Ties, 3>(job);
  instantiate<TiesCount, 3>(job);
  instantiate<DareLinear, 3>(job);
  instantiate<DareTies, 3>(job);
}

}  // namespace sinter
