// The map pass: element by element to the output. A thread takes a few elements at a time, 16 bytes of each input; all
// its loads are under way before the first is used.
#pragma once

#include "operands.h"

namespace sinter::cuda {

constexpr unsigned kMapThreads = 256;

struct MapOut {
  void* data;
  Dtype dtype;
  bool aligned;
  unsigned long long* non_finite;
};

/// Blocks of threads that a multiprocessor holds at the least, which bounds a thread's registers: few leave it waiting for
/// memory.
template <int N, Words kWords>
constexpr unsigned kMapBlocks = N > 4                     ? 1
                                : kWords == Words::random ? 2
                                                          : 3;

/// Elements that a thread takes at a time: those of many inputs would not fit its registers.
template <class Work, int N>
constexpr int kMapElements = sizeof(Work) == 8 || N == 0 ? 1
                             : N <= 4                    ? 8
                                                         : 4;
template <class Work, int N, Words kWords>
constexpr int kMapElementsOf = kMapElements<Work, N> > 1 && kWords == Words::random ? 8 : kMapElements<Work, N>;

/// Which inputs hold a NaN or an infinity, as a thread finds out. Elements that it takes alone it looks at as they are
/// widened.
template <class Work, int N>
struct NonFinite {
  uint64_t found = 0;
  /// Sums of zeros (operands.h) of inputs that are read as vectors.
  uint32_t zeros[N > 0 ? N : 1] = {};

  SINTER_DEVICE void see(int k, Work value) {
    found |= magnitude_bits(value) >= kInfinity<Work> ? uint64_t{1} << k : 0;
  }

  SINTER_DEVICE uint64_t mask(const Inputs<N>& in) const {
    uint64_t all = found;
    for (int k = 0; k < N; k++) all |= is_spoilt(zeros[k], in.dtype[k]) ? uint64_t{1} << k : 0;
    return all;
  }
};

/// Numbers of a group, in the work type.
template <class Work>
SINTER_DEVICE void load_group(const Groups& groups, int extra, uint32_t group, Work* to) {
  const double* const from = groups.table + static_cast<uint64_t>(group) * extra;
  for (int e = 0; e < extra; e++) to[e] = static_cast<Work>(from[e]);
}

/// One element at a time: of any number of inputs, or in double.
template <class Work, int N, Words kWords, class Function>
SINTER_DEVICE void map_one(const Operands<N, kWords>& a, const Function& f, const Groups& groups, const MapOut& out,
                           uint32_t i, NonFinite<Work, N>& non_finite) {
  constexpr bool kGrouped = kExtraOf < Function >> 0;
  constexpr int kWidth = N > 0 ? N + kExtraOf<Function> : (kGrouped ? 2 : 1) * kMaxInputs;
  const int inputs = N > 0 ? N : a.in.number;
  Work x[kWidth];
  uint32_t r[kWords == Words::none ? 1 : kRoom<N>];
  for (int k = 0; k < inputs; k++) {
    x[k] = load_one<Work>(a.in.data[k], a.in.dtype[k], i);
    non_finite.see(k, x[k]);
  }
  if constexpr (kGrouped) load_group(groups, N > 0 ? kExtraOf<Function> : groups.extra, groups.place.of(i), x + inputs);
  words_of_one<N, kWords>(a.words, inputs, i, r);
  store_one(out.data, out.dtype, i, f(x, r, static_cast<int32_t>(i)));
}

/// Numbers of input `k` that do not decide alone, one after the other: they are few.
template <int N, Words kWords, int V>
SINTER_DEVICE void settle_words(const WordSource<N, kWords>& source, uint32_t unit, int k, uint32_t (&r)[V][kRoom<N>]) {
#pragma unroll 1
  for (int e = 0; e < V; e++) {
    uint32_t number = 0;
#pragma unroll
    for (int q = 0; q < V; q++) number = q == e ? r[q][k] : number;
    if (number != source.open[k]) continue;
    const uint64_t i = source.begin + Units<V, kWords>::first(unit, static_cast<uint32_t>(e) / 4) + e % 4;
    number = settled_number(i, source.stream[k], source.key, source.limit[k]);
#pragma unroll
    for (int q = 0; q < V; q++) r[q][k] = q == e ? number : r[q][k];
  }
}

/// Words of a thread's elements: element e of part p at [p * kPart + e].
template <int N, Words kWords, int V>
SINTER_DEVICE void load_words(const WordSource<N, kWords>& source, uint32_t unit, uint32_t first, uint32_t count,
                              uint32_t (&r)[V][kRoom<N>]) {
  if constexpr (kWords == Words::random) {
    const uint64_t counter = source.begin / 8 + unit;
#pragma unroll
    for (int k = 1; k < N; k++) {
      if (!source.needed[k]) {
        // Then all are kept, or none, whatever the words.
#pragma unroll
        for (int e = 0; e < V; e++) leave_open(r[e][k]);
        continue;
      }
      const PhiloxBlock block = mask_block(counter, source.stream[k], 0, source.keys);
      bool any = false;
#pragma unroll
      for (int e = 0; e < V; e++) {
        r[e][k] = number_of_words(block.word[e / 4 * 2], block.word[e / 4 * 2 + 1], e % 4);
        any |= r[e][k] == source.open[k];
      }
      if (any) [[unlikely]]
        settle_words<N, kWords, V>(source, unit, k, r);
    }
  } else if constexpr (kWords == Words::mask) {
#pragma unroll
    for (int k = 1; k < N; k++) {
      // `first` is a multiple of V, so all bits lie in one byte.
      const uint32_t bits = source.mask[k] == nullptr || first >= count
                                ? 0
                                : reinterpret_cast<const uint8_t*>(source.mask[k])[first / 8] >> (first % 8);
#pragma unroll
      for (int e = 0; e < V; e++) r[e][k] = bits >> e & 1;
    }
  }
}

/// The element function on elements that follow each other. @returns whether they are known to be no NaNs.
template <Words kWords, int kPart, int N, class Function>
SINTER_DEVICE bool map_part(const Function& f, const Groups& groups, uint32_t first, uint32_t count,
                            float (&x)[N][kPart], uint32_t (*r)[N], float (&y)[kPart]) {
  constexpr int kExtra = kExtraOf<Function>;
  float in[N + kExtra];
  if constexpr (requires { typename Function::Bounds; }) {
    typename Function::Bounds bounds;
    bool done = f.is_quick(static_cast<int32_t>(first), kPart, bounds);
    if (done) {
#pragma unroll
      for (int e = 0; e < kPart; e++) {
#pragma unroll
        for (int k = 0; k < N; k++) in[k] = x[k][e];
        done &= f.quick(in, r[e], bounds, y[e]);
      }
    }
    if (done) [[likely]]
      return true;
      // Or the compiler keeps all comparisons for what comes now, and moves them from predicates to registers and back.
#pragma unroll
    for (int k = 0; k < N; k++) {
#pragma unroll
      for (int e = 0; e < kPart; e++) {
        compute_anew(x[k][e]);
        if constexpr (kWords != Words::none) compute_anew(r[e][k]);
      }
    }
  }
  GroupWalk walk;
  if constexpr (kExtra > 0) walk = GroupWalk(groups.place, first);
  [[maybe_unused]] uint32_t group = UINT32_MAX;
#pragma unroll
  for (int e = 0; e < kPart; e++) {
#pragma unroll
    for (int k = 0; k < N; k++) in[k] = x[k][e];
    if constexpr (kExtra > 0) {
      // Along rows neighbours mostly share their group. Behind the end there is none.
      if (walk.group() != group && first + e < count) {
        group = walk.group();
        load_group(groups, kExtra, group, in + N);
      }
      walk.next();
    }
    y[e] = f(in, r[e], static_cast<int32_t>(first + e));
  }
  return false;
}

/// A unit of elements, in vectors where they are whole. `kPlain`: they are, and all is bfloat16: a constant leaves no branch
/// on how each input is stored.
template <bool kPlain, int V, int N, Words kWords, class Function>
SINTER_DEVICE void map_unit(const Operands<N, kWords>& a, const Function& f, const Groups& groups, const MapOut& out,
                            uint32_t unit, NonFinite<float, N>& non_finite) {
  using Unit = Units<V, kWords>;
  constexpr int kPart = Unit::kPart;
  const auto dtype = [&](int k) { return kPlain ? Dtype::BF16 : a.in.dtype[k]; };
  Stored<kPart> stored[Unit::kParts][N];
#pragma unroll
  for (int p = 0; p < Unit::kParts; p++) {
    const uint32_t first = Unit::first(unit, p);
    const bool whole = kPlain || (a.in.aligned && first + kPart <= a.in.count);
#pragma unroll
    for (int k = 0; k < N; k++) {
      stored[p][k] = whole ? load_vector<kPart>(a.in.data[k], dtype(k), first)
                           : load_each<kPart>(a.in.data[k], dtype(k), first, a.in.count);
    }
  }
  uint32_t r[V][kRoom<N>];
  load_words<N, kWords, V>(a.words, unit, Unit::first(unit, 0), a.in.count, r);
#pragma unroll
  for (int p = 0; p < Unit::kParts; p++) {
    const uint32_t first = Unit::first(unit, p);
    float x[N][kPart];
    float y[kPart];
#pragma unroll
    for (int k = 0; k < N; k++) widen_vector<kPart>(stored[p][k], dtype(k), x[k], non_finite.zeros[k]);
    const bool no_nan = map_part<kWords, kPart, N>(f, groups, first, a.in.count, x, r + p * kPart, y);
    if (kPlain || (out.aligned && first + kPart <= a.in.count)) {
      store_vector<kPart>(out.data, kPlain ? Dtype::BF16 : out.dtype, first, y, no_nan);
    } else {
#pragma unroll
      for (int e = 0; e < kPart; e++) {
        if (first + e < a.in.count) store_one(out.data, out.dtype, first + e, y[e]);
      }
    }
  }
}

template <class Work, int N, Words kWords, class Function>
__global__ void __launch_bounds__(kMapThreads, kMapBlocks<N, kWords>)
    map_kernel(const __grid_constant__ Operands<N, kWords> a, const __grid_constant__ Function f,
               const __grid_constant__ Groups groups, const __grid_constant__ MapOut out) {
  constexpr int V = kMapElementsOf<Work, N, kWords>;
  using Unit = Units<V, kWords>;
  NonFinite<Work, N> non_finite;
  const uint32_t units = Unit::count(a.in.count);
  [[maybe_unused]] const bool plain = a.in.in_pairs && out.dtype == Dtype::BF16 && out.aligned;
  for (uint32_t unit = blockIdx.x * blockDim.x + threadIdx.x; unit < units; unit += gridDim.x * blockDim.x) {
    if constexpr (V == 1) {
      map_one<Work, N, kWords>(a, f, groups, out, unit, non_finite);
    } else if (plain && Unit::first(unit, Unit::kParts - 1) + Unit::kPart <= a.in.count) {
      map_unit<true, V, N, kWords>(a, f, groups, out, unit, non_finite);
    } else {
      map_unit<false, V, N, kWords>(a, f, groups, out, unit, non_finite);
    }
  }
  const uint64_t found = warp_or(non_finite.mask(a.in));
  if (threadIdx.x % kWarp == 0 && found != 0) atomicOr(out.non_finite, static_cast<unsigned long long>(found));
}

template <class Method, class Function, class Work, int N>
cudaError_t map_slice(const Where& where, const Job& job, const Slice& slice, void* out, uint64_t* non_finite) {
  Function f(job);
  f.at(slice.begin);
  Groups groups{};
  if constexpr (kExtraOf < Function >> 0) groups = groups_of(job, slice, Method::group_values(job));
  const MapOut to{out, job.out, reinterpret_cast<uintptr_t>(out) % 16 == 0,
                  reinterpret_cast<unsigned long long*>(non_finite)};
  constexpr Words words = kWordsOf<Method>;
  const uint32_t units = Units<kMapElementsOf<Work, N, words>, words>::count(elements(slice));
  return launch_over(where, map_kernel<Work, N, words, Function>, (units + kMapThreads - 1) / kMapThreads, kMapThreads,
                     operands_of<Method, N>(job, slice), f, groups, to);
}

}  // namespace sinter::cuda
