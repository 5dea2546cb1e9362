// From what a method declares to the device's table, as cpu/kernel-of.h does it for the CPU.
#pragma once

#include "divergence.h"
#include "map.h"
#include "rank.h"
#include "reduce.h"
#include "tally.h"

namespace sinter::cuda {

/// Calls `f` with the number of inputs as a constant where that is a common one, else with 0.
template <class Method, int N = Method::kLeastInputs, class F>
cudaError_t with_inputs(int inputs, const F& f) {
  constexpr int kMostUnrolled = 6;
  if constexpr (N <= kMostUnrolled && N <= Method::kMostInputs) {
    return inputs == N ? f.template operator()<N>() : with_inputs<Method, N + 1>(inputs, f);
  } else if constexpr (Method::kMostInputs > kMostUnrolled) {
    return f.template operator()<0>();
  } else {
    return cudaErrorInvalidValue;
  }
}

/// Float64 is rare: only methods of a fixed number of inputs are unrolled for it.
template <class Method, class F>
cudaError_t with_work(const Job& job, const F& f) {
  if (job.wide) {
    constexpr int N = Method::kLeastInputs == Method::kMostInputs ? Method::kLeastInputs : 0;
    return f.template operator()<double, N>();
  }
  return with_inputs<Method>(job.inputs, [&]<int N>() { return f.template operator()<float, N>(); });
}

template <class Method, class Work, int N>
cudaError_t map_with(const Where& where, const Job& job, const Slice& slice, void* out, uint64_t* non_finite) {
  if constexpr (requires { typename Method::template GroupedMap<Work, N>; }) {
    using Grouped = typename Method::template GroupedMap<Work, N>;
    if (job.grouping != Grouping::whole) {
      return map_slice<Method, Grouped, Work, N>(where, job, slice, out, non_finite);
    }
  }
  return map_slice<Method, typename Method::template Map<Work, N>, Work, N>(where, job, slice, out, non_finite);
}

template <class Method>
cudaError_t map(const Where& where, const Job& job, const Slice& slice, void* out, uint64_t* non_finite) {
  return with_work<Method>(
      job, [&]<class Work, int N>() { return map_with<Method, Work, N>(where, job, slice, out, non_finite); });
}

template <class Method, class Work, int N>
cudaError_t reduce_with(const Where& where, const Job& job, const Slice& slice, double* sums) {
  if constexpr (requires { typename Method::template Remeasure<Work, N>; }) {
    using Again = typename Method::template Remeasure<Work, N>;
    if (job.round > 0) return reduce_slice<Method, Again, Work, N>(where, job, slice, sums);
  }
  return reduce_slice<Method, typename Method::template Reduce<Work, N>, Work, N>(where, job, slice, sums);
}

template <class Method>
cudaError_t reduce(const Where& where, const Job& job, const Slice& slice, double* sums) {
  return with_work<Method>(job,
                           [&]<class Work, int N>() { return reduce_with<Method, Work, N>(where, job, slice, sums); });
}

template <class Method>
cudaError_t reduce_columns(const Where& where, const Job& job, const Slice& slice, uint64_t block_rows, double* sums) {
  return with_work<Method>(job, [&]<class Work, int N>() {
    using Function = typename Method::template Reduce<Work, N>;
    return reduce_slice_columns<Method, Function, Work, N>(where, job, slice, block_rows, sums);
  });
}

/// Most selections on the magnitudes of one input.
template <class Method>
constexpr int kSelectionsPerInput = [] {
  if constexpr (requires { Method::kSelectionsPerInput; }) {
    return Method::kSelectionsPerInput;
  } else {
    return 1;
  }
}();

template <class Method>
cudaError_t tally(const Where& where, const Job& job, const Slice& slice, const TallyRequest* requests, int count) {
  if (count == 0) return cudaSuccess;
  constexpr int kMost = kSelectionsPerInput<Method>;
  if constexpr (requires { typename Method::template Magnitude<float, 2>; }) {
    return with_work<Method>(job, [&]<class Work, int N>() {
      return tally_jointly<Method, kMost, Work, N>(where, job, slice, requests, count);
    });
  } else {
    if (job.wide) return tally_models<kMost, double, 2>(where, job, slice, requests, count);
    return with_inputs<Method>(job.inputs, [&]<int N>() {
      return tally_models<kMost, float, (N < 2 ? 2 : N)>(where, job, slice, requests, count);
    });
  }
}

template <class Method>
constexpr DeviceKernel device_kernel_of() {
  DeviceKernel kernel{};
  kernel.name = Method::kName;
  if constexpr (requires { typename Method::template Map<float, 2>; }) kernel.map = map<Method>;
  if constexpr (requires { &Method::sum_count; }) {
    kernel.reduce = reduce<Method>;
    if constexpr (requires { &Method::grouping; }) kernel.reduce_columns = reduce_columns<Method>;
  }
  if constexpr (requires { requires Method::kSelects; }) kernel.tally = tally<Method>;
  if constexpr (requires { requires Method::kRanked; }) kernel.rank = rank_slice<Method>;
  if constexpr (requires { &Method::term; }) kernel.measure_rows = measure_slice<Method>;
  return kernel;
}

template <class... Methods>
constexpr DeviceKernel kTableOf[] = {device_kernel_of<Methods>()...};

/// The kernels of some methods.
template <class... Methods>
constexpr DeviceKernels device_kernels_of() {
  return {kTableOf<Methods...>, sizeof...(Methods)};
}

}  // namespace sinter::cuda
