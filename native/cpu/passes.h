// The loops that run a method's element functions on the CPU, for one instruction set and any dtype.
//
// A range is taken in chunks that fit the first-level cache: inputs are widened into it, the element function runs over
// it, the result is narrowed out of it. Loops are plain and branch-free; the compiler vectorises them.
#pragma once

#include <cstring>

#include "../engine/kernel.h"
#include "../numeric/convert.h"
#include "philox-lanes.h"

SINTER_KERNEL_NAMESPACE_BEGIN

constexpr uint32_t kChunk = 1024;

/// Lanes of a partial sum: element i of a block belongs to lane i mod kLanes. Results depend on it.
constexpr int kLanes = 8;

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

template <class Method>
constexpr bool kUsesRandom = requires {
  requires Method::kRandom;
};

template <class Method>
uint32_t* load_random(const Job& job, Scratch& scratch, uint64_t begin) {
  if constexpr (kUsesRandom<Method>) {
    const size_t words = static_cast<size_t>(job.inputs) * kChunk;
    if (scratch.random.size() < words) scratch.random.resize(words);
    for (int k = 0; k < job.inputs; k++) {
      if (Method::needs_random(job, k)) random_chunk(job, k, begin, scratch.random.data() + k * kChunk);
    }
    return scratch.random.data();
  } else {
    return nullptr;
  }
}

// ---- map ----

template <class Method, class Work, int N, class Function>
void map_chunk(const Function& f, const Work* __restrict in, const uint32_t* __restrict random, uint32_t n, int inputs,
               Work* __restrict out) {
  constexpr int room = N > 0 ? N : kMaxInputs;
  const int width = N > 0 ? N : inputs;
  for (uint32_t i = 0; i < n; i++) {
    Work x[room];
    uint32_t r[room];
    for (int k = 0; k < width; k++) x[k] = in[k * kChunk + i];
    if constexpr (kUsesRandom<Method>) {
      for (int k = 0; k < width; k++) r[k] = random[k * kChunk + i];
    }
    out[i] = f(x, r, static_cast<int32_t>(i));
  }
}

template <class Method, class Work, int N>
void map_range(const Job& job, Scratch& scratch, uint64_t begin, uint64_t end, std::byte* out, uint64_t& non_finite) {
  typename Method::template Map<Work, N> f(job);
  Work* const room = input_room<Work>(scratch, job.inputs);
  Work* const result = room + static_cast<size_t>(job.inputs) * kChunk;
  for (uint64_t at = begin; at < end; at += kChunk) {
    const uint32_t n = static_cast<uint32_t>(end - at < kChunk ? end - at : kChunk);
    for (int k = 0; k < job.inputs; k++) {
      non_finite |= static_cast<uint64_t>(load_input(job, k, at, n, room)) << k;
    }
    const uint32_t* random = load_random<Method>(job, scratch, at);
    f.at(at);
    map_chunk<Method, Work, N>(f, room, random, n, job.inputs, result);
    narrow_chunk(job.out, result, n, out + (at - begin) * element_size(job.out));
  }
}

// ---- reduce ----

template <class Method, class Work, int N, class Function>
void term_chunk(const Function& f, const Work* __restrict in, const uint32_t* __restrict random, uint32_t n, int inputs,
                int sums, double* __restrict terms) {
  constexpr int room = N > 0 ? N : kMaxInputs;
  constexpr int sum_room = N > 0 ? (Function::kSums > 0 ? Function::kSums : 1) : 2 * kMaxInputs;
  const int width = N > 0 ? N : inputs;
  const int count = N > 0 ? Function::kSums : sums;
  for (uint32_t i = 0; i < n; i++) {
    Work x[room];
    uint32_t r[room];
    double term[sum_room];
    for (int k = 0; k < width; k++) x[k] = in[k * kChunk + i];
    if constexpr (kUsesRandom<Method>) {
      for (int k = 0; k < width; k++) r[k] = random[k * kChunk + i];
    }
    f(x, r, static_cast<int32_t>(i), term);
    for (int s = 0; s < count; s++) terms[s * kChunk + i] = term[s];
  }
}

inline void add_to_lanes(const double* __restrict terms, uint32_t n, double* __restrict lanes) {
  uint32_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; lane++) lanes[lane] += terms[i + lane];
  }
  for (int lane = 0; i < n; i++, lane++) lanes[lane] += terms[i];
}

template <class Method, class Work, int N>
void reduce_range(const Job& job, Scratch& scratch, uint64_t begin, uint64_t end, double* sums) {
  typename Method::template Reduce<Work, N> f(job);
  const int count = Method::sum_count(job);
  double lanes[2 * kMaxInputs][kLanes] = {};
  Work* const room = input_room<Work>(scratch, job.inputs);
  if (scratch.terms.size() < static_cast<size_t>(count) * kChunk) scratch.terms.resize(count * kChunk);
  for (uint64_t at = begin; at < end; at += kChunk) {
    const uint32_t n = static_cast<uint32_t>(end - at < kChunk ? end - at : kChunk);
    for (int k = 0; k < job.inputs; k++) load_input(job, k, at, n, room);
    const uint32_t* random = load_random<Method>(job, scratch, at);
    f.at(at);
    term_chunk<Method, Work, N>(f, room, random, n, job.inputs, count, scratch.terms.data());
    for (int s = 0; s < count; s++) add_to_lanes(scratch.terms.data() + s * kChunk, n, lanes[s]);
  }
  for (int s = 0; s < count; s++) {
    for (int step = kLanes / 2; step > 0; step /= 2) {
      for (int lane = 0; lane < step; lane++) lanes[s][lane] += lanes[s][lane + step];
    }
    sums[s] = lanes[s][0];
  }
}

// ---- select ----

template <class Method, class Work>
void magnitude_chunk(const Work* __restrict base, const Work* __restrict x, uint32_t n,
                     typename BitsOf<Work>::type* __restrict out) {
  for (uint32_t i = 0; i < n; i++) out[i] = Method::template magnitude<Work>(base[i], x[i]);
}

template <class Method, class Work>
void magnitudes(const Job& job, Scratch& scratch, int input, uint64_t begin, uint32_t n,
                typename BitsOf<Work>::type* out) {
  Work* const room = input_room<Work>(scratch, job.inputs);
  load_input(job, 0, begin, n, room);
  load_input(job, input, begin, n, room);
  magnitude_chunk<Method>(room, room + input * kChunk, n, out);
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
                 Tally<Bits>& tally) {
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

template <class Method, class Work>
void tally_range(const Job& job, Scratch& scratch, const std::vector<Selection>& selections,
                 const std::vector<Bracket<typename BitsOf<Work>::type>>& brackets, uint64_t begin, uint64_t end,
                 std::vector<Tally<typename BitsOf<Work>::type>*>& tallies) {
  using Bits = typename BitsOf<Work>::type;
  Work* const room = input_room<Work>(scratch, job.inputs);
  Bits bits[kChunk];
  Bits inside[kChunk + 1];
  for (uint64_t at = begin; at < end; at += kChunk) {
    const uint32_t n = static_cast<uint32_t>(end - at < kChunk ? end - at : kChunk);
    load_input(job, 0, at, n, room);
    for (size_t s = 0; s < selections.size(); s++) {
      if (tallies[s] == nullptr) continue;
      load_input(job, selections[s].input, at, n, room);
      magnitude_chunk<Method>(room, room + selections[s].input * kChunk, n, bits);
      tally_chunk(bits, n, brackets[s], inside, *tallies[s]);
    }
  }
}

// ---- from a job's number of inputs and work type to the loop compiled for it ----

/// Calls `f` with the number of inputs as a constant where that is a common one, else with 0.
template <class Method, int N = Method::kLeastInputs, class F>
void with_inputs(int inputs, const F& f) {
  constexpr int kMostUnrolled = 6;
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

template <class Method>
void map(const Job& job, Scratch& scratch, uint64_t begin, uint64_t end, std::byte* out, uint64_t& non_finite) {
  if (job.wide) return map_range<Method, double, kWideInputs<Method>>(job, scratch, begin, end, out, non_finite);
  with_inputs<Method>(job.inputs,
                      [&]<int N>() { map_range<Method, float, N>(job, scratch, begin, end, out, non_finite); });
}

template <class Method>
void reduce(const Job& job, Scratch& scratch, uint64_t begin, uint64_t end, double* sums) {
  if (job.wide) return reduce_range<Method, double, kWideInputs<Method>>(job, scratch, begin, end, sums);
  with_inputs<Method>(job.inputs, [&]<int N>() { reduce_range<Method, float, N>(job, scratch, begin, end, sums); });
}

/// Everything a method declares, as the engine's table wants it.
template <class Method>
constexpr Kernel kernel_of() {
  Kernel kernel{};
  kernel.name = Method::kName;
  kernel.valid = Method::valid;
  kernel.map = map<Method>;
  if constexpr (
      requires { &Method::selections; } && requires { Method::kSelects; }) {
    kernel.selections = Method::selections;
    kernel.select32 = {magnitudes<Method, float>, tally_range<Method, float>};
    kernel.select64 = {magnitudes<Method, double>, tally_range<Method, double>};
  }
  if constexpr (requires { &Method::sum_count; }) {
    kernel.sum_count = Method::sum_count;
    kernel.reduce = reduce<Method>;
  }
  if constexpr (requires { &Method::solve; }) kernel.solve = Method::solve;
  return kernel;
}

SINTER_KERNEL_NAMESPACE_END
