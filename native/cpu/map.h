// The map pass: element by element to the output.
#pragma once

#include "operands.h"

SINTER_KERNEL_NAMESPACE_BEGIN

/// Whether the function has a shorter form for elements that share their bounds (methods/task-vector.h).
template <class Function>
constexpr bool kHasQuick = requires {
  typename Function::Bounds;
};

/// The same as `map_chunk` in fewer steps. @returns false where an element is not what it should be: then nothing counts.
template <class Method, class Work, int N, class Function>
bool quick_chunk(const Function& f, const typename Function::Bounds& bounds, const Work* __restrict in,
                 const uint16_t* __restrict words, uint32_t n, Work* __restrict out) {
  uint32_t right = 1;
  for (uint32_t i = 0; i < n; i++) {
    Work x[N];
    uint32_t r[N];
    for (int k = 0; k < N; k++) x[k] = in[k * kChunk + i];
    if constexpr (kUsesWords<Method>) {
      for (int k = 0; k < N; k++) r[k] = words[k * kChunk + i];
    }
    Work y;
    right &= f.quick(x, r, bounds, y) ? 1u : 0u;
    out[i] = y;
  }
  return right != 0;
}

template <class Method, class Work, int N, class Function>
void map_chunk(const Function& f, const Work* __restrict in, const uint16_t* __restrict words, uint32_t n, int inputs,
               int extra, Work* __restrict out) {
  constexpr int room = N > 0 ? N + kExtraOf<Function> : 2 * kMaxInputs;
  const int width = N > 0 ? N + kExtraOf<Function> : inputs + extra;
  uint32_t i = 0;
  if constexpr (N == 0 && kLanewise<Function> && sizeof(Work) == 4) {
    // The compiler vectorises over elements only where the number of inputs is a constant.
    IndexLanes index = first_lanes();
    for (; i + kLanes <= n; i += kLanes, index += kLanes) {
      FloatLanes x[room];
      WordLanes r[kUsesWords<Method> ? kMaxInputs : 1];
      for (int k = 0; k < width; k++) x[k] = load_lanes<FloatLanes>(in + k * kChunk + i);
      if constexpr (kUsesWords<Method>) {
        for (int k = 0; k < inputs; k++) r[k] = load_mask_words<WordLanes>(words + k * kChunk + i);
      }
      const FloatLanes result = f(x, r, index);
      memcpy(out + i, &result, sizeof(result));
    }
  }
  for (; i < n; i++) {
    Work x[room];
    uint32_t r[room];
    for (int k = 0; k < width; k++) x[k] = in[k * kChunk + i];
    if constexpr (kUsesWords<Method>) {
      for (int k = 0; k < (N > 0 ? N : inputs); k++) r[k] = words[k * kChunk + i];
    }
    out[i] = f(x, r, static_cast<int32_t>(i));
  }
}

template <class Method, class Function, class Work, int N>
void map_range(const Job& job, Scratch& scratch, uint64_t begin, uint64_t end, std::byte* out, uint64_t& non_finite) {
  Function f(job);
  int extra = 0;
  if constexpr (kExtraOf < Function >> 0) extra = Method::group_values(job);
  Work* const room = input_room<Work>(scratch, job.inputs + extra);
  Work* const result = room + static_cast<size_t>(job.inputs + extra) * kChunk;
  for (uint64_t at = begin; at < end; at += kChunk) {
    const uint32_t n = static_cast<uint32_t>(end - at < kChunk ? end - at : kChunk);
    for (int k = 0; k < job.inputs; k++) {
      non_finite |= static_cast<uint64_t>(load_input(job, k, at, n, room)) << k;
    }
    if constexpr (kExtraOf < Function >> 0) {
      load_groups(job, Method::group_table(job), extra, at, n, room + static_cast<size_t>(job.inputs) * kChunk);
    }
    const uint16_t* words = load_words<Method>(job, scratch, at, n);
    f.at(at);
    bool done = false;
    if constexpr (N > 0 && kHasQuick<Function>) {
      typename Function::Bounds bounds;
      done = f.is_quick(0, static_cast<int32_t>(n), bounds) &&
             quick_chunk<Method, Work, N>(f, bounds, room, words, n, result);
    }
    if (!done) map_chunk<Method, Work, N>(f, room, words, n, job.inputs, extra, result);
    narrow_chunk(job.out, result, n, out + (at - begin) * element_size(job.out));
  }
}

SINTER_KERNEL_NAMESPACE_END
