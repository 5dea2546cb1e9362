// arcee_fusion's divergence of each row: a block of threads goes over it three times, for the largest elements, for the
// sums of the two softmaxes, for the sum of the terms. Sums are those of methods/arcee-fusion.h: chunks in their order.
#pragma once

#include <cmath>

#include "../numeric/exponential.h"
#include "operands.h"

namespace sinter::cuda {

constexpr unsigned kRowThreads = 256;
constexpr unsigned kRowWarps = kRowThreads / kWarp;

/// The sum of `term(i)` over i in [0, n), for all threads of a block, which all get it. `shared`: a number for each warp.
template <class Term>
SINTER_DEVICE double sum_row(uint32_t n, double* shared, const Term& term) {
  const uint32_t warp = threadIdx.x / kWarp;
  double sum = 0.0;
  for (uint32_t begin = 0; begin < n; begin += kRowWarps * kSumChunk) {
    const uint32_t at = begin + warp * kSumChunk;
    double lane = 0.0;
    for (uint32_t i = at + threadIdx.x % kWarp; i < n && i < at + kSumChunk; i += kWarp) lane += term(i);
    const double chunk = warp_fold(lane);
    if (threadIdx.x % kWarp == 0) shared[warp] = chunk;
    __syncthreads();
    for (uint32_t w = 0; w < kRowWarps && begin + w * kSumChunk < n; w++) sum += shared[w];
    __syncthreads();
  }
  return sum;
}

/// The largest of a row, for all threads; NaN where an element is not below infinity, or all are minus infinity: a row
/// without a softmax.
template <class Work>
SINTER_DEVICE Work largest_of_row(const void* data, Dtype dtype, uint32_t begin, uint32_t n, Work* shared) {
  const Work infinity = static_cast<Work>(INFINITY);
  Work largest = -infinity;
  bool ordered = true;
  for (uint32_t i = threadIdx.x; i < n; i += kRowThreads) {
    const Work x = load_one<Work>(data, dtype, begin + i);
    ordered = ordered && x < infinity;
    largest = x > largest ? x : largest;
  }
  for (int step = 16; step > 0; step /= 2) {
    const Work other = __shfl_xor_sync(kAllLanes, largest, step);
    largest = other > largest ? other : largest;
  }
  ordered = __all_sync(kAllLanes, ordered);
  if (threadIdx.x % kWarp == 0) shared[threadIdx.x / kWarp] = ordered ? largest : static_cast<Work>(NAN);
  __syncthreads();
  for (uint32_t w = 0; w < kRowWarps; w++) {
    const Work other = shared[w];
    // Keeps a NaN, and takes one.
    largest = other <= largest ? largest : other > largest ? other : other + largest;
  }
  __syncthreads();
  return largest > -infinity ? largest : static_cast<Work>(NAN);
}

template <class Method, class Work>
__global__ void __launch_bounds__(kRowThreads)
    divergence_kernel(const __grid_constant__ Inputs<2> in, uint32_t rows, uint32_t columns, double* table) {
  __shared__ double sums[kRowWarps];
  __shared__ Work largest[kRowWarps];
  for (uint32_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const uint32_t begin = row * columns;
    const Work most_a = largest_of_row<Work>(in.data[0], in.dtype[0], begin, columns, largest);
    const Work most_b = largest_of_row<Work>(in.data[1], in.dtype[1], begin, columns, largest);
    double divergence = NAN;
    if (most_a == most_a && most_b == most_b) {
      const auto p = [&](uint32_t i) {
        const Work x = load_one<Work>(in.data[1], in.dtype[1], begin + i);
        return exponential(static_cast<double>(x) - static_cast<double>(most_b));
      };
      const auto q = [&](uint32_t i) {
        const Work x = load_one<Work>(in.data[0], in.dtype[0], begin + i);
        return exponential(static_cast<double>(x) - static_cast<double>(most_a));
      };
      const double sum_p = sum_row(columns, sums, p);
      const double sum_q = sum_row(columns, sums, q);
      divergence = sum_row(columns, sums, [&](uint32_t i) { return Method::term(p(i) / sum_p, q(i) / sum_q); });
    }
    if (threadIdx.x == 0) table[row] = divergence;
  }
}

template <class Method>
cudaError_t measure_slice(const Where& where, const Job& job, const Slice& slice, double* table) {
  const Inputs<2> in = inputs_of<2>(job, slice);
  const uint32_t columns = static_cast<uint32_t>(job.columns);
  const uint32_t rows = in.count / columns;
  return job.wide ? launch_over(where, divergence_kernel<Method, double>, rows, kRowThreads, in, rows, columns, table)
                  : launch_over(where, divergence_kernel<Method, float>, rows, kRowThreads, in, rows, columns, table);
}

}  // namespace sinter::cuda
