// The reduce pass: float64 sums over blocks, in lanes whose number is fixed, so that no instruction set changes a bit.
#pragma once

#include "../numeric/lanes.h"
#include "operands.h"

SINTER_KERNEL_NAMESPACE_BEGIN

/// Most sums of one group: a Gram matrix of as many vectors as an op may have.
constexpr int kMostSums = kMaxInputs * (kMaxInputs + 1) / 2;

/// Terms of this many elements at a time stay in the first-level cache, whatever their number.
constexpr uint32_t kPart = 256;

template <class Method, class Work, int N, class Function>
void term_chunk(const Function& f, const Work* __restrict in, const uint16_t* __restrict words, uint32_t n, int inputs,
                int sums, double* __restrict terms) {
  constexpr int room = N > 0 ? N : kMaxInputs;
  constexpr int sum_room = N > 0 ? (Function::kSums > 0 ? Function::kSums : 1) : kMostSums;
  const int width = N > 0 ? N : inputs;
  const int count = N > 0 ? Function::kSums : sums;
  for (uint32_t i = 0; i < n; i++) {
    Work x[room];
    uint32_t r[room];
    double term[sum_room];
    for (int k = 0; k < width; k++) x[k] = in[k * kChunk + i];
    if constexpr (kUsesWords<Method>) {
      for (int k = 0; k < width; k++) r[k] = words[k * kChunk + i];
    }
    f(x, r, static_cast<int32_t>(i), term);
    for (int s = 0; s < count; s++) terms[s * kPart + i] = term[s];
  }
}

inline void add_to_lanes(const double* __restrict terms, uint32_t n, double* __restrict lanes) {
  uint32_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; lane++) lanes[lane] += terms[i + lane];
  }
  for (int lane = 0; i < n; i++, lane++) lanes[lane] += terms[i];
}

/// Calls `use(terms, offset, n)` with the terms of each part of a chunk; those of sum s stand at `terms + s * kPart`.
template <class Method, class Function, class Work, int N, class Use>
void for_terms(Function& f, const Job& job, Scratch& scratch, uint64_t at, uint32_t n, int count, const Use& use) {
  Work* const room = input_room<Work>(scratch, job.inputs);
  if (scratch.terms.size() < static_cast<size_t>(count) * kPart)
    scratch.terms.resize(static_cast<size_t>(count) * kPart);
  for (int k = 0; k < job.inputs; k++) load_input(job, k, at, n, room);
  const uint16_t* words = load_words<Method>(job, scratch, at, n);
  for (uint32_t offset = 0; offset < n; offset += kPart) {
    const uint32_t part = n - offset < kPart ? n - offset : kPart;
    f.at(at + offset);
    const uint16_t* const own_words = words == nullptr ? nullptr : words + offset;
    term_chunk<Method, Work, N>(f, room + offset, own_words, part, job.inputs, count, scratch.terms.data());
    use(scratch.terms.data(), offset, part);
  }
}

/// Adds the terms of one chunk to the lanes of each sum, where the number of sums is known when this is compiled.
template <class Method, class Work, int N, class Function>
void sum_chunk(const Function& f, const Work* __restrict in, const uint16_t* __restrict words, uint32_t n,
               double (*__restrict lanes)[kLanes]) {
  constexpr int sums = Function::kSums;
  const auto term_of = [&](uint32_t i, double* term) {
    Work x[N];
    uint32_t r[N];
    for (int k = 0; k < N; k++) x[k] = in[k * kChunk + i];
    if constexpr (kUsesWords<Method>) {
      for (int k = 0; k < N; k++) r[k] = words[k * kChunk + i];
    }
    f(x, r, static_cast<int32_t>(i), term);
  };
  uint32_t i = 0;
  if constexpr (kLanewise<Function>) {
    DoubleLanes group[sums];
    memcpy(group, lanes, sizeof(group));
    IndexLanes index;
    for (int lane = 0; lane < kLanes; lane++) index[lane] = lane;
    for (; i + kLanes <= n; i += kLanes, index += kLanes) {
      using Group = typename LanesOf<Work>::type;
      Group x[N];
      DoubleLanes term[sums];
      WordLanes r[N];
      for (int k = 0; k < N; k++) x[k] = load_lanes<Group>(in + k * kChunk + i);
      if constexpr (kUsesWords<Method>) {
        for (int k = 0; k < N; k++) {
          r[k] = load_mask_words<WordLanes>(words + k * kChunk + i);
        }
      }
      f(x, r, index, term);
      for (int s = 0; s < sums; s++) group[s] += term[s];
    }
    memcpy(lanes, group, sizeof(group));
  }
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; lane++) {
      double term[sums];
      term_of(i + lane, term);
      for (int s = 0; s < sums; s++) lanes[s][lane] += term[s];
    }
  }
  for (int lane = 0; i < n; i++, lane++) {
    double term[sums];
    term_of(i, term);
    for (int s = 0; s < sums; s++) lanes[s][lane] += term[s];
  }
}

/// The same for a number of inputs and sums that is known only now.
template <class Method, class Function>
void sum_chunk_of_many(const Function& f, const float* __restrict in, const uint16_t* __restrict words, uint32_t n,
                       int inputs, int sums, double* __restrict lanes) {
  IndexLanes index;
  for (int lane = 0; lane < kLanes; lane++) index[lane] = lane;
  uint32_t i = 0;
  for (; i + kLanes <= n; i += kLanes, index += kLanes) {
    FloatLanes x[kMaxInputs];
    WordLanes r[kUsesWords<Method> ? kMaxInputs : 1];
    DoubleLanes term[kMostSums];
    for (int k = 0; k < inputs; k++) x[k] = load_lanes<FloatLanes>(in + k * kChunk + i);
    if constexpr (kUsesWords<Method>) {
      for (int k = 0; k < inputs; k++) r[k] = load_mask_words<WordLanes>(words + k * kChunk + i);
    }
    f(x, r, index, term);
    for (int s = 0; s < sums; s++) {
      const DoubleLanes sum = load_lanes<DoubleLanes>(lanes + s * kLanes) + term[s];
      memcpy(lanes + s * kLanes, &sum, sizeof(sum));
    }
  }
  for (int lane = 0; i < n; i++, lane++) {
    float x[kMaxInputs];
    uint32_t r[kMaxInputs] = {};
    double term[kMostSums];
    for (int k = 0; k < inputs; k++) x[k] = in[k * kChunk + i];
    if constexpr (kUsesWords<Method>) {
      for (int k = 0; k < inputs; k++) r[k] = words[k * kChunk + i];
    }
    f(x, r, static_cast<int32_t>(i), term);
    for (int s = 0; s < sums; s++) lanes[s * kLanes + lane] += term[s];
  }
}

inline double sum_of_lanes(double* lanes) {
  for (int step = kLanes / 2; step > 0; step /= 2) {
    for (int lane = 0; lane < step; lane++) lanes[lane] += lanes[lane + step];
  }
  return lanes[0];
}

template <class Method, class Function, class Work, int N>
void reduce_range(const Job& job, Scratch& scratch, uint64_t begin, uint64_t end, double* sums) {
  Function f(job);
  const int count = Method::sum_count(job);
  if constexpr (N > 0 && Function::kSums > 0 && (kLanewise<Function> || !kUsesWords<Method>)) {
    double lanes[Function::kSums][kLanes] = {};
    Work* const room = input_room<Work>(scratch, N);
    for (uint64_t at = begin; at < end; at += kChunk) {
      const uint32_t n = static_cast<uint32_t>(end - at < kChunk ? end - at : kChunk);
      for (int k = 0; k < N; k++) load_input(job, k, at, n, room);
      const uint16_t* words = load_words<Method>(job, scratch, at, n);
      f.at(at);
      sum_chunk<Method, Work, N>(f, room, words, n, lanes);
    }
    for (int s = 0; s < Function::kSums; s++) sums[s] = sum_of_lanes(lanes[s]);
    return;
  }
  scratch.lanes.assign(static_cast<size_t>(count) * kLanes, 0.0);
  if constexpr (N == 0 && kLanewise<Function> && sizeof(Work) == 4) {
    Work* const room = input_room<Work>(scratch, job.inputs);
    for (uint64_t at = begin; at < end; at += kChunk) {
      const uint32_t n = static_cast<uint32_t>(end - at < kChunk ? end - at : kChunk);
      for (int k = 0; k < job.inputs; k++) load_input(job, k, at, n, room);
      const uint16_t* words = load_words<Method>(job, scratch, at, n);
      f.at(at);
      sum_chunk_of_many<Method>(f, room, words, n, job.inputs, count, scratch.lanes.data());
    }
    for (int s = 0; s < count; s++) sums[s] = sum_of_lanes(scratch.lanes.data() + s * kLanes);
    return;
  }
  for (uint64_t at = begin; at < end; at += kChunk) {
    const uint32_t n = static_cast<uint32_t>(end - at < kChunk ? end - at : kChunk);
    for_terms<Method, Function, Work, N>(f, job, scratch, at, n, count,
                                         [&](const double* terms, uint32_t, uint32_t part) {
                                           for (int s = 0; s < count; s++)
                                             add_to_lanes(terms + s * kPart, part, scratch.lanes.data() + s * kLanes);
                                         });
  }
  for (int s = 0; s < count; s++) sums[s] = sum_of_lanes(scratch.lanes.data() + s * kLanes);
}

/// Sums over rows for each position of a row, row after row.
template <class Method, class Function, class Work, int N>
void reduce_columns_range(const Job& job, Scratch& scratch, uint64_t begin, uint64_t end, double* sums) {
  Function f(job);
  const int count = Method::sum_count(job);
  const uint64_t positions = job.groups();
  for (uint64_t i = 0; i < positions * static_cast<uint64_t>(count); i++) sums[i] = 0.0;
  for (uint64_t row = begin; row < end; row++) {
    for (uint64_t at = 0; at < positions; at += kChunk) {
      const uint32_t n = static_cast<uint32_t>(positions - at < kChunk ? positions - at : kChunk);
      const auto add = [&](const double* terms, uint32_t offset, uint32_t part) {
        for (int s = 0; s < count; s++) {
          const double* __restrict from = terms + s * kPart;
          double* __restrict to = sums + static_cast<uint64_t>(s) * positions + at + offset;
          for (uint32_t i = 0; i < part; i++) to[i] += from[i];
        }
      };
      for_terms<Method, Function, Work, N>(f, job, scratch, row * positions + at, n, count, add);
    }
  }
}

SINTER_KERNEL_NAMESPACE_END
