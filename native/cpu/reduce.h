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

/// Adds `n` terms to kSumLanes lanes; the first one belongs to lane 0.
inline void add_to_lanes(const double* __restrict terms, uint32_t n, double* __restrict lanes) {
  uint32_t i = 0;
  for (; i + kSumLanes <= n; i += kSumLanes) {
    for (int lane = 0; lane < kSumLanes; lane++) lanes[lane] += terms[i + lane];
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

/// Groups of kLanes lanes that make up those of a chunk. They are taken one after the other, so that the sums at hand stay
/// in registers.
constexpr int kLaneGroups = kSumLanes / kLanes;

/// Calls `group(i)` for the elements [i, i + kLanes) of lane group `g`, and `one(i, lane)` for those of the last group
/// that is not whole, if it is this one.
template <class Group, class One>
SINTER_HD void for_lane_group(int g, uint32_t n, const Group& group, const One& one) {
  uint32_t i = static_cast<uint32_t>(g * kLanes);
  for (; i + kLanes <= n; i += kSumLanes) group(i);
  for (int lane = 0; lane < kLanes && i < n; i++, lane++) one(i, lane);
}

/// Adds the sums of one chunk to `sums`, where their number is known when this is compiled.
template <class Method, class Work, int N, class Function>
void sum_chunk(const Function& f, const Work* __restrict in, const uint16_t* __restrict words, uint32_t n,
               double* __restrict totals) {
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
  double lanes[sums][kSumLanes] = {};
  for (int g = 0; g < kLaneGroups; g++) {
    if constexpr (kLanewise<Function>) {
      DoubleLanes group[sums] = {};
      for_lane_group(
          g, n,
          [&](uint32_t i) {
            using Group = typename LanesOf<Work>::type;
            Group x[N];
            DoubleLanes term[sums];
            WordLanes r[N];
            IndexLanes index = first_lanes() + static_cast<int32_t>(i);
            for (int k = 0; k < N; k++) x[k] = load_lanes<Group>(in + k * kChunk + i);
            if constexpr (kUsesWords<Method>) {
              for (int k = 0; k < N; k++) r[k] = load_mask_words<WordLanes>(words + k * kChunk + i);
            }
            f(x, r, index, term);
            for (int s = 0; s < sums; s++) group[s] += term[s];
          },
          [&](uint32_t i, int lane) {
            double term[sums];
            term_of(i, term);
            for (int s = 0; s < sums; s++) group[s][lane] += term[s];
          });
      for (int s = 0; s < sums; s++) memcpy(&lanes[s][g * kLanes], &group[s], sizeof(group[s]));
    } else {
      const auto one = [&](uint32_t i, int lane) {
        double term[sums];
        term_of(i, term);
        for (int s = 0; s < sums; s++) lanes[s][g * kLanes + lane] += term[s];
      };
      const auto group = [&](uint32_t i) {
        for (int lane = 0; lane < kLanes; lane++) one(i + static_cast<uint32_t>(lane), lane);
      };
      for_lane_group(g, n, group, one);
    }
  }
  for (int s = 0; s < sums; s++) totals[s] += fold_lanes(lanes[s]);
}

/// The same for a number of inputs and sums that is known only now; `lanes` takes kSumLanes numbers for each sum.
template <class Method, class Function>
void sum_chunk_of_many(const Function& f, const float* __restrict in, const uint16_t* __restrict words, uint32_t n,
                       int inputs, int sums, double* __restrict lanes, double* __restrict totals) {
  const auto group_of = [=](int g) { return lanes + static_cast<ptrdiff_t>(g) * sums * kLanes; };
  for (int g = 0; g < kLaneGroups; g++) {
    double* const own = group_of(g);
    memset(own, 0, static_cast<size_t>(sums) * kLanes * sizeof(double));
    for_lane_group(
        g, n,
        [&](uint32_t i) {
          FloatLanes x[kMaxInputs];
          WordLanes r[kUsesWords<Method> ? kMaxInputs : 1];
          DoubleLanes term[kMostSums];
          IndexLanes index = first_lanes() + static_cast<int32_t>(i);
          for (int k = 0; k < inputs; k++) x[k] = load_lanes<FloatLanes>(in + k * kChunk + i);
          if constexpr (kUsesWords<Method>) {
            for (int k = 0; k < inputs; k++) r[k] = load_mask_words<WordLanes>(words + k * kChunk + i);
          }
          f(x, r, index, term);
          for (int s = 0; s < sums; s++) {
            const DoubleLanes sum = load_lanes<DoubleLanes>(own + s * kLanes) + term[s];
            memcpy(own + s * kLanes, &sum, sizeof(sum));
          }
        },
        [&](uint32_t i, int lane) {
          float x[kMaxInputs];
          uint32_t r[kMaxInputs] = {};
          double term[kMostSums];
          for (int k = 0; k < inputs; k++) x[k] = in[k * kChunk + i];
          if constexpr (kUsesWords<Method>) {
            for (int k = 0; k < inputs; k++) r[k] = words[k * kChunk + i];
          }
          f(x, r, static_cast<int32_t>(i), term);
          for (int s = 0; s < sums; s++) own[s * kLanes + lane] += term[s];
        });
  }
  for (int s = 0; s < sums; s++) {
    double all[kSumLanes];
    for (int g = 0; g < kLaneGroups; g++) memcpy(all + g * kLanes, group_of(g) + s * kLanes, kLanes * sizeof(double));
    totals[s] += fold_lanes(all);
  }
}

/// Sums of [begin, end), of at most kSumBlock elements.
template <class Method, class Function, class Work, int N>
void reduce_range(const Job& job, Scratch& scratch, uint64_t begin, uint64_t end, double* sums) {
  static_assert(kChunk == kSumChunk && kPart % kSumLanes == 0);
  Function f(job);
  const int count = Method::sum_count(job);
  for (int s = 0; s < count; s++) sums[s] = 0.0;
  scratch.lanes.resize(static_cast<size_t>(count) * kSumLanes);
  double* const lanes = scratch.lanes.data();
  for (uint64_t at = begin; at < end; at += kChunk) {
    const uint32_t n = static_cast<uint32_t>(end - at < kChunk ? end - at : kChunk);
    constexpr bool known = N > 0 && Function::kSums > 0 && (kLanewise<Function> || !kUsesWords<Method>);
    if constexpr (known || (N == 0 && kLanewise<Function> && sizeof(Work) == 4)) {
      Work* const room = input_room<Work>(scratch, job.inputs);
      for (int k = 0; k < job.inputs; k++) load_input(job, k, at, n, room);
      const uint16_t* words = load_words<Method>(job, scratch, at, n);
      f.at(at);
      if constexpr (known) {
        sum_chunk<Method, Work, N>(f, room, words, n, sums);
      } else {
        sum_chunk_of_many<Method>(f, room, words, n, job.inputs, count, lanes, sums);
      }
    } else {
      memset(lanes, 0, static_cast<size_t>(count) * kSumLanes * sizeof(double));
      const auto add = [&](const double* terms, uint32_t, uint32_t part) {
        for (int s = 0; s < count; s++) add_to_lanes(terms + s * kPart, part, lanes + s * kSumLanes);
      };
      for_terms<Method, Function, Work, N>(f, job, scratch, at, n, count, add);
      for (int s = 0; s < count; s++) sums[s] += fold_lanes(lanes + s * kSumLanes);
    }
  }
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
