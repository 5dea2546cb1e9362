// The loops that run a method's element functions on the CPU, for one instruction set and any dtype.
//
// A range is taken in chunks that fit the first-level cache: inputs are widened into it, the element function runs over
// it, the result is narrowed out of it. Loops are plain and branch-free; the compiler vectorises them.
#pragma once

#include <cstring>

#include "../engine/kernel.h"
#include "../numeric/convert.h"
#include "philox-lanes.h"
#include "rank-row.h"

SINTER_KERNEL_NAMESPACE_BEGIN

constexpr uint32_t kChunk = 1024;

/// Lanes of a partial sum: element i of a block belongs to lane i mod kLanes. Results depend on it.
constexpr int kLanes = 8;

/// Most sums of one group: a Gram matrix of as many vectors as an op may have.
constexpr int kMostSums = kMaxInputs * (kMaxInputs + 1) / 2;

// ---- stored bytes to work type and back ----

/// Widens `n` elements from bytes of any alignment. @returns whether one is a NaN or an infinity.
template <class D, class Work>
bool widen_chunk(const std::byte* from, uint32_t n, Work* __restrict to) {
  using Stored = typename D::Stored;
  uint32_t found = 0;
  for (uint32_t i = 0; i < n; i++) {
    Stored bits;
    memcpy(&bits, from + i * sizeof(Stored), sizeof(Stored));
    found |= (bits & D::kExponent) == D::kExponent ? 1u : 0u;
    to[i] = widen<D, Work>(bits);
  }
  return found != 0;
}

template <class Work>
bool widen_chunk(Dtype dtype, const std::byte* from, uint32_t n, Work* to) {
  switch (dtype) {
    case Dtype::F64:
      return widen_chunk<F64>(from, n, to);
    case Dtype::F32:
      return widen_chunk<F32>(from, n, to);
    case Dtype::F16:
      return widen_chunk<F16>(from, n, to);
    default:
      return widen_chunk<BF16>(from, n, to);
  }
}

template <class D, class Work>
void narrow_chunk(const Work* __restrict from, uint32_t n, std::byte* __restrict to) {
  using Stored = typename D::Stored;
  for (uint32_t i = 0; i < n; i++) {
    const Stored bits = narrow<D>(from[i]);
    memcpy(to + i * sizeof(Stored), &bits, sizeof(Stored));
  }
}

template <class Work>
void narrow_chunk(Dtype dtype, const Work* from, uint32_t n, std::byte* to) {
  switch (dtype) {
    case Dtype::F64:
      return narrow_chunk<F64>(from, n, to);
    case Dtype::F32:
      return narrow_chunk<F32>(from, n, to);
    case Dtype::F16:
      return narrow_chunk<F16>(from, n, to);
    default:
      return narrow_chunk<BF16>(from, n, to);
  }
}

template <class D>
bool any_non_finite(const std::byte* data, uint64_t count) {
  using Stored = typename D::Stored;
  for (uint64_t begin = 0; begin < count; begin += kChunk) {
    const uint32_t n = static_cast<uint32_t>(count - begin < kChunk ? count - begin : kChunk);
    uint32_t found = 0;
    for (uint32_t i = 0; i < n; i++) {
      Stored bits;
      memcpy(&bits, data + (begin + i) * sizeof(Stored), sizeof(Stored));
      found |= (bits & D::kExponent) == D::kExponent ? 1u : 0u;
    }
    if (found != 0) return true;
  }
  return false;
}

inline bool has_non_finite(const std::byte* data, Dtype dtype, uint64_t count) {
  switch (dtype) {
    case Dtype::F64:
      return any_non_finite<F64>(data, count);
    case Dtype::F32:
      return any_non_finite<F32>(data, count);
    case Dtype::F16:
      return any_non_finite<F16>(data, count);
    case Dtype::BF16:
      return any_non_finite<BF16>(data, count);
    default:
      return false;
  }
}

// ---- chunks of inputs and of random numbers; input k stands at k * kChunk ----

template <class Work>
Work* input_room(Scratch& scratch, int inputs) {
  const size_t bytes = static_cast<size_t>(inputs + 1) * kChunk * sizeof(Work);
  if (scratch.inputs.size() < bytes) scratch.inputs.resize(bytes);
  return reinterpret_cast<Work*>(scratch.inputs.data());
}

template <class Work>
bool load_input(const Job& job, int input, uint64_t begin, uint32_t n, Work* room) {
  const InputSpan& span = job.input[input];
  return widen_chunk(span.dtype, span.data + begin * element_size(span.dtype), n, room + input * kChunk);
}

/// Random words of one chunk of a stream, kChunk of them whatever is used; `begin` is a multiple of kChunk.
inline void random_chunk(const Job& job, int input, uint64_t begin, uint32_t* __restrict to) {
  constexpr uint32_t blocks = kChunk / 4;
  uint64_t first[blocks];
  uint64_t second[blocks];
  const uint64_t counter = begin / 4;
  const uint32_t low =
      static_cast<uint32_t>(counter);  // does not overflow within a chunk: it starts at a multiple of one
  for (uint32_t j = 0; j < blocks; j += kCounters) {
    philox_lanes(low + j, static_cast<uint32_t>(counter >> 32), job.input[input].stream, static_cast<uint32_t>(job.key),
                 static_cast<uint32_t>(job.key >> 32), first + j, second + j);
  }
  for (uint32_t j = 0; j < blocks; j++) {
    memcpy(to + 4 * j, first + j, 8);
    memcpy(to + 4 * j + 2, second + j, 8);
  }
}

// ---- whole rows: vectors along the last dimension ----

/// Widens `n` elements of one input, however many.
template <class Work>
void load_row(const Job& job, int input, uint64_t begin, uint64_t n, Work* to) {
  const InputSpan& span = job.input[input];
  for (uint64_t i = 0; i < n; i += kChunk) {
    const uint32_t count = static_cast<uint32_t>(n - i < kChunk ? n - i : kChunk);
    widen_chunk(span.dtype, span.data + (begin + i) * element_size(span.dtype), count, to + i);
  }
}

/// della's limits by rank, for rows of one length and one model.
template <class Method>
std::vector<uint32_t> ranked_limits(const Job& job, int input) {
  std::vector<uint32_t> limits(job.columns);
  for (uint64_t rank = 0; rank < job.columns; rank++) {
    limits[rank] = ranked_limit(Method::number(job, input, 1), Method::number(job, input, 2), rank, job.columns);
  }
  return limits;
}

/// Which elements of one row are kept, as bytes.
template <class Work>
void mask_row(const Job& job, int input, uint64_t row, const std::vector<uint32_t>& limits, RankRoom& room,
              std::vector<Work>& values, std::vector<uint32_t>& words, uint8_t* mask) {
  using Bits = typename BitsOf<Work>::type;
  const uint64_t n = job.columns;
  const uint64_t begin = row * n;
  values.resize(2 * n);
  load_row(job, 0, begin, n, values.data());
  load_row(job, input, begin, n, values.data() + n);
  // Chunks of random words start at multiples of kChunk: the row lies somewhere in them.
  const uint64_t first = begin / kChunk * kChunk;
  words.resize((begin + n - first + kChunk - 1) / kChunk * kChunk);
  for (uint64_t at = 0; at < words.size(); at += kChunk) random_chunk(job, input, first + at, words.data() + at);
  Bits* const bits = reinterpret_cast<Bits*>(values.data());
  const Work* const base = values.data();
  const Work* const x = values.data() + n;
  for (uint64_t i = 0; i < n; i++) bits[i] = difference_magnitude<Work>(base[i], x[i]);
  rank_row<Bits>(bits, words.data() + (begin - first), static_cast<uint32_t>(n), limits.data(), room, mask);
}

template <class Method>
bool make_mask_room(Job& job, Budget& budget) {
  uint64_t models = 0;
  for (int k = 0; k < job.inputs; k++) models += Method::needs_words(job, k) ? 1 : 0;
  const uint64_t words = job.count / 64 + 1;
  if (models == 0 || !budget.take(models * words * 8)) return false;
  job.taken = models * words * 8;
  job.masks.resize(static_cast<size_t>(job.inputs));
  for (int k = 0; k < job.inputs; k++) {
    if (Method::needs_words(job, k)) job.masks[static_cast<size_t>(k)].assign(words + kChunk / 64, 0);
  }
  return true;
}

template <class Method, class Work>
void prepare_masks_of(Job& job, uint64_t begin, uint64_t end) {
  RankRoom room(job.columns);
  std::vector<Work> values;
  std::vector<uint32_t> words;
  std::vector<uint8_t> mask(job.columns);
  for (int k = 0; k < job.inputs; k++) {
    if (!Method::needs_words(job, k)) continue;
    const std::vector<uint32_t> limits = ranked_limits<Method>(job, k);
    std::vector<uint64_t>& to = job.masks[static_cast<size_t>(k)];
    for (uint64_t row = begin; row < end; row++) {
      mask_row<Work>(job, k, row, limits, room, values, words, mask.data());
      uint64_t element = row * job.columns;
      for (uint64_t i = 0; i < job.columns; i++, element++) {
        to[element / 64] |= static_cast<uint64_t>(mask[i]) << (element % 64);
      }
    }
  }
}

template <class Method>
void prepare_masks(Job& job, Scratch&, uint64_t begin, uint64_t end) {
  job.wide ? prepare_masks_of<Method, double>(job, begin, end) : prepare_masks_of<Method, float>(job, begin, end);
}

/// A chunk's mask where none is kept: rows are ranked again, the last one is remembered.
template <class Method>
void rows_mask_chunk(const Job& job, Scratch& scratch, int input, uint64_t begin, uint32_t n, uint32_t* to) {
  if (scratch.masks_of != job.id) {
    scratch.masks_of = job.id;
    scratch.row_masks.assign(kMaxInputs, {});
    scratch.row_of_mask.assign(kMaxInputs, UINT64_MAX);
  }
  std::vector<uint8_t>& mask = scratch.row_masks[static_cast<size_t>(input)];
  uint64_t& at_hand = scratch.row_of_mask[static_cast<size_t>(input)];
  for (uint32_t i = 0; i < n;) {
    const uint64_t row = (begin + i) / job.columns;
    const uint64_t column = (begin + i) % job.columns;
    if (row != at_hand) {
      RankRoom room(job.columns);
      std::vector<uint32_t> words;
      mask.resize(job.columns);
      const std::vector<uint32_t> limits = ranked_limits<Method>(job, input);
      if (job.wide) {
        std::vector<double> values;
        mask_row<double>(job, input, row, limits, room, values, words, mask.data());
      } else {
        std::vector<float> values;
        mask_row<float>(job, input, row, limits, room, values, words, mask.data());
      }
      at_hand = row;
    }
    const uint32_t count = static_cast<uint32_t>(std::min<uint64_t>(job.columns - column, n - i));
    for (uint32_t j = 0; j < count; j++) to[i + j] = mask[column + j];
    i += count;
  }
}

template <class Method, class Work>
void prepare_divergences_of(Job& job, uint64_t begin, uint64_t end) {
  std::vector<Work> values(2 * job.columns);
  std::vector<double> room(2 * job.columns);
  for (uint64_t row = begin; row < end; row++) {
    load_row(job, 0, row * job.columns, job.columns, values.data());
    load_row(job, 1, row * job.columns, job.columns, values.data() + job.columns);
    job.table[row] =
        Method::template divergence<Work>(values.data(), values.data() + job.columns, job.columns, room.data());
  }
}

template <class Method>
void prepare_divergences(Job& job, Scratch&, uint64_t begin, uint64_t end) {
  job.wide ? prepare_divergences_of<Method, double>(job, begin, end)
           : prepare_divergences_of<Method, float>(job, begin, end);
}

// ---- words of elements ----

template <class Method>
constexpr bool kUsesWords = requires {
  Method::kRandom;
}
&&(
    requires { requires Method::kRandom; } || requires { requires Method::kRanked; });

/// Kept or not, as 1 or 0, from a mask of one bit per element; `begin` is a multiple of 64.
inline void mask_chunk(const std::vector<uint64_t>& mask, uint64_t begin, uint32_t n, uint32_t* __restrict to) {
  for (uint32_t i = 0; i < n; i += 64) {
    const uint64_t word = mask[(begin + i) / 64];
    for (uint32_t j = 0; j < 64; j++) to[i + j] = static_cast<uint32_t>(word >> j & 1);
  }
}

/// The words of each input that needs any: random numbers, or a mask.
template <class Method>
uint32_t* load_words(const Job& job, Scratch& scratch, uint64_t begin, uint32_t n) {
  if constexpr (kUsesWords<Method>) {
    const size_t words = static_cast<size_t>(job.inputs) * kChunk;
    if (scratch.random.size() < words) scratch.random.resize(words);
    for (int k = 0; k < job.inputs; k++) {
      if (!Method::needs_words(job, k)) continue;
      uint32_t* const to = scratch.random.data() + k * kChunk;
      if constexpr (!Method::kRanked) {
        random_chunk(job, k, begin, to);
      } else if (!job.masks.empty()) {
        mask_chunk(job.masks[static_cast<size_t>(k)], begin, n, to);
      } else {
        rows_mask_chunk<Method>(job, scratch, k, begin, n, to);
      }
    }
    return scratch.random.data();
  } else {
    return nullptr;
  }
}

// ---- numbers of groups, as further inputs behind the real ones ----

template <class Function>
constexpr int kExtraOf = [] {
  if constexpr (requires { Function::kExtra; }) {
    return Function::kExtra;
  } else {
    return 0;
  }
}();

/// Writes the numbers of each element's group; `room` is where those of number 0 go.
template <class Work>
void load_groups(const Job& job, const double* table, int extra, uint64_t begin, uint32_t n, Work* room) {
  if (job.grouping == Grouping::columns) {
    const uint64_t positions = job.groups();
    uint64_t position = begin % positions;
    for (uint32_t i = 0; i < n; i++) {
      for (int e = 0; e < extra; e++) room[e * kChunk + i] = static_cast<Work>(table[position * extra + e]);
      position = position + 1 == positions ? 0 : position + 1;
    }
    return;
  }
  uint64_t row = begin / job.columns;
  uint64_t left = job.columns - begin % job.columns;
  for (uint32_t i = 0; i < n; row++, left = job.columns) {
    const uint32_t count = static_cast<uint32_t>(left < n - i ? left : n - i);
    for (int e = 0; e < extra; e++) {
      const Work value = static_cast<Work>(table[row * extra + e]);
      for (uint32_t j = 0; j < count; j++) room[e * kChunk + i + j] = value;
    }
    i += count;
  }
}

// ---- map ----

template <class Method, class Work, int N, class Function>
void map_chunk(const Function& f, const Work* __restrict in, const uint32_t* __restrict words, uint32_t n, int inputs,
               int extra, Work* __restrict out) {
  constexpr int room = N > 0 ? N + kExtraOf<Function> : 2 * kMaxInputs;
  const int width = N > 0 ? N + kExtraOf<Function> : inputs + extra;
  for (uint32_t i = 0; i < n; i++) {
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
    const uint32_t* words = load_words<Method>(job, scratch, at, n);
    f.at(at);
    map_chunk<Method, Work, N>(f, room, words, n, job.inputs, extra, result);
    narrow_chunk(job.out, result, n, out + (at - begin) * element_size(job.out));
  }
}

// ---- reduce ----

/// Terms of this many elements at a time stay in the first-level cache, whatever their number.
constexpr uint32_t kPart = 256;

template <class Method, class Work, int N, class Function>
void term_chunk(const Function& f, const Work* __restrict in, const uint32_t* __restrict words, uint32_t n, int inputs,
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
  const uint32_t* words = load_words<Method>(job, scratch, at, n);
  for (uint32_t offset = 0; offset < n; offset += kPart) {
    const uint32_t part = n - offset < kPart ? n - offset : kPart;
    f.at(at + offset);
    const uint32_t* const own_words = words == nullptr ? nullptr : words + offset;
    term_chunk<Method, Work, N>(f, room + offset, own_words, part, job.inputs, count, scratch.terms.data());
    use(scratch.terms.data(), offset, part);
  }
}

/// Adds the terms of one chunk to the lanes of each sum, where the number of sums is known when this is compiled.
template <class Method, class Work, int N, class Function>
void sum_chunk(const Function& f, const Work* __restrict in, const uint32_t* __restrict words, uint32_t n,
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
  if constexpr (N > 0 && Function::kSums > 0 && !kUsesWords<Method>) {
    double lanes[Function::kSums][kLanes] = {};
    Work* const room = input_room<Work>(scratch, N);
    for (uint64_t at = begin; at < end; at += kChunk) {
      const uint32_t n = static_cast<uint32_t>(end - at < kChunk ? end - at : kChunk);
      for (int k = 0; k < N; k++) load_input(job, k, at, n, room);
      const uint32_t* words = load_words<Method>(job, scratch, at, n);
      f.at(at);
      sum_chunk<Method, Work, N>(f, room, words, n, lanes);
    }
    for (int s = 0; s < Function::kSums; s++) sums[s] = sum_of_lanes(lanes[s]);
    return;
  }
  scratch.lanes.assign(static_cast<size_t>(count) * kLanes, 0.0);
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

// ---- select ----

/// Whether the method's magnitude looks at all inputs at once, not at one beside the base.
template <class Method>
constexpr bool kJointMagnitude = requires {
  typename Method::template Magnitude<float, 2>;
};

/// Magnitude bits of elements [begin, begin + n) for one input.
template <class Method, class Work, int N>
void pair_magnitude_chunk(const Job& job, Scratch& scratch, int input, bool load_base, uint64_t begin, uint32_t n,
                          typename BitsOf<Work>::type* __restrict out) {
  Work* const room = input_room<Work>(scratch, job.inputs);
  if (load_base) load_input(job, 0, begin, n, room);
  load_input(job, input, begin, n, room);
  const Work* __restrict base = room;
  const Work* __restrict x = room + input * kChunk;
  for (uint32_t i = 0; i < n; i++) out[i] = Method::template magnitude<Work>(base[i], x[i]);
}

template <class Method, class Work, int N>
void joint_magnitude_chunk(const Job& job, Scratch& scratch, uint64_t begin, uint32_t n,
                           typename BitsOf<Work>::type* __restrict out) {
  using Function = typename Method::template Magnitude<Work, N>;
  const Function f(job);
  int extra = 0;
  if constexpr (kExtraOf < Function >> 0) extra = Method::group_values(job);
  Work* const room = input_room<Work>(scratch, job.inputs + extra);
  for (int k = 0; k < job.inputs; k++) load_input(job, k, begin, n, room);
  if constexpr (kExtraOf < Function >> 0) {
    load_groups(job, Method::group_table(job), extra, begin, n, room + static_cast<size_t>(job.inputs) * kChunk);
  }
  constexpr int width = N > 0 ? N + kExtraOf<Function> : 2 * kMaxInputs;
  const int count = N > 0 ? width : job.inputs + extra;
  const Work* __restrict in = room;
  for (uint32_t i = 0; i < n; i++) {
    Work x[width];
    for (int k = 0; k < count; k++) x[k] = in[k * kChunk + i];
    out[i] = f(x);
  }
}

template <class Method, class Work, int N>
void magnitudes_range(const Job& job, Scratch& scratch, int input, uint64_t begin, uint32_t n,
                      typename BitsOf<Work>::type* out) {
  if constexpr (kJointMagnitude<Method>) {
    joint_magnitude_chunk<Method, Work, N>(job, scratch, begin, n, out);
  } else {
    pair_magnitude_chunk<Method, Work, N>(job, scratch, input, true, begin, n, out);
  }
}

/// Appends what lies strictly inside the bracket. Groups without any such value, most of them, are skipped whole.
template <class Bits>
uint32_t collect(const Bits* __restrict bits, uint32_t n, Bits low, Bits width, Bits* __restrict out) {
  constexpr uint32_t kGroup = 16;
  uint32_t found = 0;
  uint32_t i = 0;
  for (; i + kGroup <= n; i += kGroup) {
    Bits any = 0;
    for (uint32_t j = 0; j < kGroup; j++) any |= static_cast<Bits>(bits[i + j] - low) < width ? 1 : 0;
    if (any == 0) continue;
    for (uint32_t j = 0; j < kGroup; j++) {
      out[found] = bits[i + j];
      found += static_cast<Bits>(bits[i + j] - low) < width ? 1 : 0;
    }
  }
  for (; i < n; i++) {
    out[found] = bits[i];
    found += static_cast<Bits>(bits[i] - low) < width ? 1 : 0;
  }
  return found;
}

template <class Bits>
void tally_chunk(const Bits* __restrict bits, uint32_t n, const Bracket<Bits>& bracket, Bits* __restrict inside,
                 bool count_zeros, Tally<Bits>& tally) {
  const Bits low = bracket.low;
  const Bits high = bracket.high;
  Bits above = 0;
  Bits equal_high = 0;
  Bits at_least_low = 0;
  Bits above_low = 0;
  for (uint32_t i = 0; i < n; i++) {
    above += bits[i] > high ? 1 : 0;
    equal_high += bits[i] == high ? 1 : 0;
    above_low += bits[i] > low ? 1 : 0;
    at_least_low += bits[i] >= low ? 1 : 0;
  }
  if (count_zeros) {
    Bits zeros = 0;
    for (uint32_t i = 0; i < n; i++) zeros += bits[i] == 0 ? 1 : 0;
    tally.zeros += zeros;
  }
  tally.above += above;
  tally.equal_high += equal_high;
  if (low == high) return;
  const Bits between = above_low - above - equal_high;
  tally.equal_low += at_least_low - above_low;
  tally.inside += between;
  if (between == 0 || tally.values.size() + n > bracket.room) return;
  const uint32_t found = collect<Bits>(bits, n, low + 1, high - low - 1, inside);
  tally.values.insert(tally.values.end(), inside, inside + found);
}

template <class Method, class Work, int N>
void tally_range(const Job& job, Scratch& scratch, const std::vector<Selection>& selections,
                 const std::vector<Bracket<typename BitsOf<Work>::type>>& brackets, uint64_t begin, uint64_t end,
                 std::vector<Tally<typename BitsOf<Work>::type>*>& tallies) {
  using Bits = typename BitsOf<Work>::type;
  Bits bits[kChunk];
  Bits inside[kChunk + 1];
  for (uint64_t at = begin; at < end; at += kChunk) {
    const uint32_t n = static_cast<uint32_t>(end - at < kChunk ? end - at : kChunk);
    int at_hand = -1;  // the input whose magnitudes `bits` holds
    for (size_t s = 0; s < selections.size(); s++) {
      if (tallies[s] == nullptr) continue;
      const int input = selections[s].input;
      if (input != at_hand) {
        if constexpr (kJointMagnitude<Method>) {
          joint_magnitude_chunk<Method, Work, N>(job, scratch, at, n, bits);
        } else {
          pair_magnitude_chunk<Method, Work, N>(job, scratch, input, at_hand < 0, at, n, bits);
        }
        at_hand = input;
      }
      tally_chunk(bits, n, brackets[s], inside, selections[s].share_of_nonzero >= 0, *tallies[s]);
    }
  }
}

// ---- from a job's number of inputs and work type to the loop compiled for it ----

/// Calls `f` with the number of inputs as a constant where that is a common one, else with 0.
template <class Method, int N = Method::kLeastInputs, class F>
void with_inputs(int inputs, const F& f) {
  constexpr int kMostUnrolled = [] {
    if constexpr (requires { Method::kMostUnrolled; }) {
      return Method::kMostUnrolled;
    } else {
      return 6;
    }
  }();
  if constexpr (N <= kMostUnrolled && N <= Method::kMostInputs) {
    if (inputs == N) {
      f.template operator()<N>();
    } else {
      with_inputs<Method, N + 1>(inputs, f);
    }
  } else if constexpr (Method::kMostInputs > kMostUnrolled) {
    f.template operator()<0>();
  }
}

/// Float64 is rare: only methods of a fixed number of inputs are unrolled for it.
template <class Method>
constexpr int kWideInputs = Method::kLeastInputs == Method::kMostInputs ? Method::kLeastInputs : 0;

/// Calls `f` with the work type and the number of inputs that a job was compiled for.
template <class Method, class F>
void with_work(const Job& job, const F& f) {
  if (job.wide) {
    f.template operator()<double, kWideInputs<Method>>();
  } else {
    with_inputs<Method>(job.inputs, [&]<int N>() { f.template operator()<float, N>(); });
  }
}

template <class Method>
void map(const Job& job, Scratch& scratch, uint64_t begin, uint64_t end, std::byte* out, uint64_t& non_finite) {
  with_work<Method>(job, [&]<class Work, int N>() {
    if constexpr (requires { typename Method::template GroupedMap<Work, N>; }) {
      if (job.grouping != Grouping::whole) {
        using Function = typename Method::template GroupedMap<Work, N>;
        return map_range<Method, Function, Work, N>(job, scratch, begin, end, out, non_finite);
      }
    }
    using Function = typename Method::template Map<Work, N>;
    map_range<Method, Function, Work, N>(job, scratch, begin, end, out, non_finite);
  });
}

template <class Method>
void reduce(const Job& job, Scratch& scratch, uint64_t begin, uint64_t end, double* sums) {
  with_work<Method>(job, [&]<class Work, int N>() {
    if constexpr (requires { typename Method::template Remeasure<Work, N>; }) {
      if (job.round > 0) {
        using Function = typename Method::template Remeasure<Work, N>;
        return reduce_range<Method, Function, Work, N>(job, scratch, begin, end, sums);
      }
    }
    using Function = typename Method::template Reduce<Work, N>;
    reduce_range<Method, Function, Work, N>(job, scratch, begin, end, sums);
  });
}

template <class Method>
void reduce_columns(const Job& job, Scratch& scratch, uint64_t begin, uint64_t end, double* sums) {
  with_work<Method>(job, [&]<class Work, int N>() {
    using Function = typename Method::template Reduce<Work, N>;
    reduce_columns_range<Method, Function, Work, N>(job, scratch, begin, end, sums);
  });
}

template <class Method>
void magnitudes32(const Job& job, Scratch& scratch, int input, uint64_t begin, uint32_t n, uint32_t* out) {
  with_inputs<Method>(job.inputs,
                      [&]<int N>() { magnitudes_range<Method, float, N>(job, scratch, input, begin, n, out); });
}

template <class Method>
void tally32(const Job& job, Scratch& scratch, const std::vector<Selection>& selections,
             const std::vector<Bracket<uint32_t>>& brackets, uint64_t begin, uint64_t end,
             std::vector<Tally<uint32_t>*>& tallies) {
  with_inputs<Method>(job.inputs, [&]<int N>() {
    tally_range<Method, float, N>(job, scratch, selections, brackets, begin, end, tallies);
  });
}

/// Everything a method declares, as the engine's table wants it.
template <class Method>
constexpr Kernel kernel_of() {
  Kernel kernel{};
  kernel.name = Method::kName;
  kernel.valid = Method::valid;
  if constexpr (requires { typename Method::template Map<float, 2>; }) kernel.map = map<Method>;
  if constexpr (requires { &Method::grouping; }) kernel.grouping = Method::grouping;
  if constexpr (requires { requires Method::kSelects; }) {
    kernel.selections = Method::selections;
    kernel.select32 = {magnitudes32<Method>, tally32<Method>};
    kernel.select64 = {magnitudes_range<Method, double, kWideInputs<Method>>,
                       tally_range<Method, double, kWideInputs<Method>>};
  }
  if constexpr (requires { &Method::sum_count; }) {
    kernel.sum_count = Method::sum_count;
    kernel.reduce = reduce<Method>;
    if constexpr (requires { &Method::grouping; }) kernel.reduce_columns = reduce_columns<Method>;
  }
  if constexpr (requires { &Method::solve; }) kernel.solve = Method::solve;
  if constexpr (requires { requires Method::kRanked; }) {
    kernel.make_room = make_mask_room<Method>;
    kernel.prepare = prepare_masks<Method>;
  } else if constexpr (requires { &Method::make_room; }) {
    kernel.make_room = Method::make_room;
    kernel.prepare = prepare_divergences<Method>;
  }
  return kernel;
}

SINTER_KERNEL_NAMESPACE_END
