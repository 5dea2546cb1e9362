// What element functions read, on the device: inputs widened from their stored form, random numbers or masks, and the
// numbers of an element's group. Filled from a job on the host, passed to kernels by value.
#pragma once

#include "../engine/job.h"
#include "../methods/task-vector.h"
#include "../numeric/convert.h"
#include "../numeric/lanes.h"
#include "../numeric/philox.h"
#include "launch.h"
#include "layout.h"

namespace sinter::cuda {

template <class Method>
constexpr Words kWordsOf = [] {
  if constexpr (requires { requires Method::kRandom; }) {
    return Words::random;
  } else if constexpr (requires { requires Method::kRanked; }) {
    return Words::mask;
  } else {
    return Words::none;
  }
}();

/// Inputs that kernels have room for: as many as an op may have where the number is not known when this is compiled.
template <int N>
constexpr int kRoom = N > 0 ? N : kMaxInputs;

/// Numbers of its group that an element function reads behind its inputs.
template <class Function>
constexpr int kExtraOf = [] {
  if constexpr (requires { Function::kExtra; }) {
    return Function::kExtra;
  } else {
    return 0;
  }
}();

template <int N>
struct Inputs {
  int number;
  /// Elements of the slice.
  uint32_t count;
  /// Whether all lie as vectors of 16 bytes do.
  bool aligned;
  /// And are bfloat16, so that two elements make a word of 32 bits.
  bool in_pairs;
  const void* data[kRoom<N>];
  Dtype dtype[kRoom<N>];
};

template <int N, Words kWords>
struct WordSource {};

template <int N>
struct WordSource<N, Words::random> {
  uint64_t key;
  PhiloxKeys keys;
  /// Of the slice, among all elements; a multiple of kMaskChunk.
  uint64_t begin;
  bool needed[kRoom<N>];
  uint32_t stream[kRoom<N>];
  uint32_t limit[kRoom<N>];
  /// The number that does not decide alone: that of the limit's upper half, where its lower half is not 0. None is 2^16.
  uint32_t open[kRoom<N>];
};

template <int N>
struct WordSource<N, Words::mask> {
  /// Null where everything is kept, or nothing.
  const uint64_t* mask[kRoom<N>];
};

struct Groups {
  const double* table;
  int extra;
  GroupPlace place;
};

template <int N, Words kWords>
struct Operands {
  Inputs<N> in;
  WordSource<N, kWords> words;
};

inline uint32_t elements(const Slice& slice) { return static_cast<uint32_t>(slice.end - slice.begin); }

template <int N>
Inputs<N> inputs_of(const Job& job, const Slice& slice) {
  Inputs<N> in{};
  in.number = job.inputs;
  in.count = elements(slice);
  in.aligned = true;
  for (int k = 0; k < job.inputs; k++) {
    in.data[k] = slice.input[k];
    in.dtype[k] = job.input[k].dtype;
    in.aligned = in.aligned && reinterpret_cast<uintptr_t>(slice.input[k]) % 16 == 0;
    in.in_pairs = (k == 0 || in.in_pairs) && in.dtype[k] == Dtype::BF16;
  }
  in.in_pairs = in.in_pairs && in.aligned;
  return in;
}

template <class Method, int N>
Operands<N, kWordsOf<Method>> operands_of(const Job& job, const Slice& slice) {
  Operands<N, kWordsOf<Method>> operands{};
  operands.in = inputs_of<N>(job, slice);
  if constexpr (kWordsOf<Method> == Words::random) {
    operands.words.key = job.key;
    operands.words.keys = PhiloxKeys(job.key);
    operands.words.begin = slice.begin;
    for (int k = 0; k < job.inputs; k++) {
      operands.words.needed[k] = Method::needs_words(job, k);
      operands.words.stream[k] = job.input[k].stream;
      const uint32_t limit = operands.words.needed[k] ? Method::limit(job, k) : 0;
      operands.words.limit[k] = limit;
      operands.words.open[k] = (limit & 0xFFFFu) != 0 ? limit >> 16 : 0x10000u;
    }
  } else if constexpr (kWordsOf<Method> == Words::mask) {
    for (int k = 0; k < job.inputs; k++) {
      operands.words.mask[k] = Method::needs_words(job, k) ? slice.masks[k] : nullptr;
    }
  }
  return operands;
}

/// Where elements find the numbers of their group: those of the slice's first group come first.
inline Groups groups_of(const Job& job, const Slice& slice, int extra) {
  const bool by_position = job.grouping == Grouping::columns;
  const uint64_t size = by_position ? job.count / job.rows : job.columns;
  return {slice.groups, extra, {static_cast<uint32_t>(size), static_cast<uint32_t>(slice.begin % size), by_position}};
}

#if defined(__CUDACC__) || defined(SINTER_EMULATE)

/// One element as it is stored. Reading is apart from widening, so that several reads may be under way: a thread goes on
/// until it needs what it reads.
template <class Work>
SINTER_DEVICE typename BitsOf<Work>::type read_one(const void* data, Dtype dtype, uint32_t i) {
  if constexpr (sizeof(Work) == 8) {
    if (dtype == Dtype::F64) return static_cast<const uint64_t*>(data)[i];
  }
  return dtype == Dtype::F32 ? static_cast<const uint32_t*>(data)[i] : static_cast<const uint16_t*>(data)[i];
}

/// A half as a float, exactly: in one instruction.
SINTER_DEVICE float widen_half(uint32_t bits) {
#if defined(SINTER_EMULATE)
  return F16::widen(static_cast<uint16_t>(bits));
#else
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(static_cast<uint16_t>(bits)));
  return value;
#endif
}

template <class Work>
SINTER_DEVICE Work widen_one(typename BitsOf<Work>::type bits, Dtype dtype) {
  switch (dtype) {
    case Dtype::BF16:
      return widen<BF16, Work>(static_cast<uint16_t>(bits));
    case Dtype::F16:
      return static_cast<Work>(widen_half(static_cast<uint32_t>(bits)));
    case Dtype::F32:
      return widen<F32, Work>(static_cast<uint32_t>(bits));
    default:
      // Float64 anywhere makes the work type double.
      if constexpr (sizeof(Work) == 8) return F64::widen(bits);
      return Work{0};
  }
}

template <class Work>
SINTER_DEVICE Work load_one(const void* data, Dtype dtype, uint32_t i) {
  return widen_one<Work>(read_one<Work>(data, dtype, i), dtype);
}

/// Reads J elements, `step` apart; unless all are there (`kWhole`), those from the `number`-th on count as 0.
template <bool kWhole, uint32_t J, class Stored, class Bits>
SINTER_DEVICE void read_apart(const Stored* from, uint32_t step, uint32_t number, Bits (&to)[J]) {
#pragma unroll
  for (uint32_t j = 0; j < J; j++) to[j] = kWhole || j < number ? from[j * step] : 0;
}

/// The same of any dtype, from element `first` on, whose address is settled once for all J. All loads are under way together.
template <class Work, bool kWhole, uint32_t J>
SINTER_DEVICE void read_some(const void* data, Dtype dtype, uint32_t first, uint32_t step, uint32_t number,
                             typename BitsOf<Work>::type (&to)[J]) {
  if constexpr (sizeof(Work) == 8) {
    if (dtype == Dtype::F64) return read_apart<kWhole>(static_cast<const uint64_t*>(data) + first, step, number, to);
  }
  if (dtype == Dtype::F32) return read_apart<kWhole>(static_cast<const uint32_t*>(data) + first, step, number, to);
  read_apart<kWhole>(static_cast<const uint16_t*>(data) + first, step, number, to);
}

/// All of them, with one look at the dtype.
template <class Work, uint32_t J>
SINTER_DEVICE void widen_some(const typename BitsOf<Work>::type (&from)[J], Dtype dtype, Work (&to)[J]) {
  const auto each = [&](const auto& widened) {
#pragma unroll
    for (uint32_t j = 0; j < J; j++) to[j] = widened(from[j]);
  };
  using Bits = typename BitsOf<Work>::type;
  switch (dtype) {
    case Dtype::BF16:
      return each([](Bits bits) { return widen<BF16, Work>(static_cast<uint16_t>(bits)); });
    case Dtype::F16:
      return each([](Bits bits) { return static_cast<Work>(widen_half(static_cast<uint32_t>(bits))); });
    case Dtype::F32:
      return each([](Bits bits) { return widen<F32, Work>(static_cast<uint32_t>(bits)); });
    default:
      if constexpr (sizeof(Work) == 8) each([](Bits bits) { return F64::widen(bits); });
  }
}

template <class Work>
SINTER_DEVICE void store_one(void* data, Dtype dtype, uint32_t i, Work value) {
  switch (dtype) {
    case Dtype::BF16:
      static_cast<uint16_t*>(data)[i] = narrow<BF16>(value);
      return;
    case Dtype::F16:
      static_cast<uint16_t*>(data)[i] = narrow<F16>(value);
      return;
    case Dtype::F32:
      static_cast<uint32_t*>(data)[i] = narrow<F32>(value);
      return;
    default:
      if constexpr (sizeof(Work) == 8) static_cast<uint64_t*>(data)[i] = F64::narrow(value);
  }
}

/// Elements as they are stored, a thread's own: 16 bits each, two in a word, or 32.
template <int V>
struct Stored {
  uint32_t word[V];
};

/// Reads V (4 or 8) elements from `first` on; the address is a multiple of their size together, up to 16 bytes.
template <int V>
SINTER_DEVICE Stored<V> load_vector(const void* data, Dtype dtype, uint32_t first) {
  Stored<V> to{};
  if (dtype == Dtype::F32) {
    const uint4* const from = reinterpret_cast<const uint4*>(static_cast<const uint32_t*>(data) + first);
    for (int v = 0; v < V / 4; v++) {
      const uint4 four = from[v];
      to.word[4 * v] = four.x;
      to.word[4 * v + 1] = four.y;
      to.word[4 * v + 2] = four.z;
      to.word[4 * v + 3] = four.w;
    }
  } else if constexpr (V == 8) {
    const uint4 four = *reinterpret_cast<const uint4*>(static_cast<const uint16_t*>(data) + first);
    to.word[0] = four.x;
    to.word[1] = four.y;
    to.word[2] = four.z;
    to.word[3] = four.w;
  } else {
    const uint2 two = *reinterpret_cast<const uint2*>(static_cast<const uint16_t*>(data) + first);
    to.word[0] = two.x;
    to.word[1] = two.y;
  }
  return to;
}

/// The same without a vector: elements from `count` on count as 0.
template <int V>
SINTER_DEVICE Stored<V> load_each(const void* data, Dtype dtype, uint32_t first, uint32_t count) {
  Stored<V> to{};
  for (int e = 0; e < V; e++) {
    if (dtype == Dtype::F32) {
      to.word[e] = first + e < count ? static_cast<const uint32_t*>(data)[first + e] : 0;
    } else {
      const uint32_t bits = first + e < count ? static_cast<const uint16_t*>(data)[first + e] : 0;
      to.word[e / 2] = e % 2 == 0 ? bits : to.word[e / 2] | bits << 16;
    }
  }
  return to;
}

// Whether elements are NaNs or infinities is found out as they are stored, two at a time: what they give times zero is added
// up, and a sum that is a NaN says that one was. All dtypes of 16 or 32 bits have room for such sums in 32 bits.

SINTER_DEVICE uint32_t add_zeros_bf16(uint32_t two, uint32_t sum) {
#if defined(SINTER_EMULATE)
  for (int half = 0; half < 32; half += 16) sum |= (two >> half & 0x7F80) == 0x7F80 ? 0x7FC0u << half : 0;
#else
  asm("fma.rn.bf16x2 %0, %1, %2, %0;" : "+r"(sum) : "r"(two), "r"(0));
#endif
  return sum;
}

SINTER_DEVICE uint32_t add_zeros_f16(uint32_t two, uint32_t sum) {
#if defined(SINTER_EMULATE)
  for (int half = 0; half < 32; half += 16) sum |= (two >> half & 0x7C00) == 0x7C00 ? 0x7E00u << half : 0;
#else
  asm("fma.rn.f16x2 %0, %1, %2, %0;" : "+r"(sum) : "r"(two), "r"(0));
#endif
  return sum;
}

SINTER_DEVICE uint32_t add_zero_f32(uint32_t one, uint32_t sum) {
#if defined(SINTER_EMULATE)
  return sum | ((one & 0x7F800000u) == 0x7F800000u ? 0x7FC00000u : 0);
#else
  return bits_as<uint32_t>(bits_as<float>(one) * 0.0f + bits_as<float>(sum));
#endif
}

/// Whether a sum of zeros has met a NaN or an infinity.
SINTER_DEVICE bool is_spoilt(uint32_t sum, Dtype dtype) {
  if (dtype == Dtype::F32) return (sum & 0x7FFFFFFFu) > 0x7F800000u;
  const uint32_t infinity = dtype == Dtype::BF16 ? 0x7F80u : 0x7C00u;
  return (sum & 0x7FFFu) > infinity || (sum >> 16 & 0x7FFFu) > infinity;
}

/// Stored elements as floats; `zeros` is a sum of zeros.
template <int V>
SINTER_DEVICE void widen_vector(const Stored<V>& from, Dtype dtype, float (&to)[V], uint32_t& zeros) {
  switch (dtype) {
    case Dtype::BF16:
      for (int w = 0; w < V / 2; w++) zeros = add_zeros_bf16(from.word[w], zeros);
      for (int e = 0; e < V; e++)
        to[e] = bits_as<float>(e % 2 == 0 ? from.word[e / 2] << 16 : from.word[e / 2] & 0xFFFF0000u);
      return;
    case Dtype::F16:
      for (int w = 0; w < V / 2; w++) zeros = add_zeros_f16(from.word[w], zeros);
      for (int e = 0; e < V; e++) to[e] = widen_half(from.word[e / 2] >> (16 * (e % 2)) & 0xFFFFu);
      return;
    default:
      for (int e = 0; e < V; e++) zeros = add_zero_f32(from.word[e], zeros);
      for (int e = 0; e < V; e++) to[e] = F32::widen(from.word[e]);
  }
}

/// Two numbers as they are stored, the first one below, both rounded once: by the instruction that does so for NaNs of other
/// patterns than ours, which therefore are not passed.
SINTER_DEVICE uint32_t narrow_two(Dtype dtype, float first, float second) {
#if defined(SINTER_EMULATE)
  const bool bf16 = dtype == Dtype::BF16;
  const uint32_t low = bf16 ? BF16::narrow(first) : F16::narrow(first);
  const uint32_t high = bf16 ? BF16::narrow(second) : F16::narrow(second);
  return low | high << 16;
#else
  uint32_t two;
  if (dtype == Dtype::BF16) {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(two) : "f"(second), "f"(first));
  } else {
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(two) : "f"(second), "f"(first));
  }
  return two;
#endif
}

/// Writes V elements, as `load_vector` reads them. `no_nan`: they are known to be none.
template <int V>
SINTER_DEVICE void store_vector(void* data, Dtype dtype, uint32_t first, const float (&values)[V], bool no_nan) {
  uint32_t word[V];
  if (dtype == Dtype::F32) {
    for (int e = 0; e < V; e++) word[e] = F32::narrow(values[e]);
    uint4* const to = reinterpret_cast<uint4*>(static_cast<uint32_t*>(data) + first);
    for (int v = 0; v < V / 4; v++) to[v] = {word[4 * v], word[4 * v + 1], word[4 * v + 2], word[4 * v + 3]};
    return;
  }
  bool has_nan = false;
  if (!no_nan) {
    for (int e = 0; e < V; e++) has_nan |= values[e] != values[e];
  }
  if (has_nan) {
    for (int e = 0; e < V; e++) store_one(data, dtype, first + e, values[e]);
    return;
  }
  for (int e = 0; e < V; e += 2) word[e / 2] = narrow_two(dtype, values[e], values[e + 1]);
  if constexpr (V == 8) {
    *reinterpret_cast<uint4*>(static_cast<uint16_t*>(data) + first) = {word[0], word[1], word[2], word[3]};
  } else {
    *reinterpret_cast<uint2*>(static_cast<uint16_t*>(data) + first) = {word[0], word[1]};
  }
}

/// A random mask's number of element `i` (of the tensor) and input `k`, as element functions want it.
template <int N>
SINTER_DEVICE uint32_t settle(const WordSource<N, Words::random>& source, int k, uint32_t number, uint64_t i) {
  return number == source.open[k] ? settled_number(i, source.stream[k], source.key, source.limit[k]) : number;
}

SINTER_DEVICE PhiloxBlock mask_block(uint64_t counter, uint32_t stream, uint32_t level, const PhiloxKeys& keys) {
  return philox(static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), stream, level, keys);
}

/// Words of one element of the slice, for each input; `i` counts from the slice's begin.
template <int N, Words kWords>
SINTER_DEVICE void words_of_one(const WordSource<N, kWords>& source, int inputs, uint32_t i, uint32_t* r) {
  for (int k = 1; k < (N > 0 ? N : inputs); k++) {
    if constexpr (kWords == Words::random) {
      r[k] = 0;
      if (!source.needed[k]) continue;
      const uint32_t number = mask_number(source.begin + i, 0, source.stream[k], source.key);
      r[k] = settle(source, k, number, source.begin + i);
    } else if constexpr (kWords == Words::mask) {
      r[k] = source.mask[k] == nullptr ? 0 : static_cast<uint32_t>(source.mask[k][i / 64] >> (i % 64) & 1);
    }
  }
}

/// Magnitude bits from which on a value is an infinity or a NaN.
template <class Work>
constexpr typename BitsOf<Work>::type kInfinity = sizeof(Work) == 4
                                                      ? static_cast<typename BitsOf<Work>::type>(0x7F800000)
                                                      : static_cast<typename BitsOf<Work>::type>(0x7FF0000000000000);

template <class Work>
SINTER_DEVICE typename BitsOf<Work>::type magnitude_bits(Work value) {
  using Bits = typename BitsOf<Work>::type;
  return bits_as<Bits>(value) & ~(Bits{1} << (8 * sizeof(Bits) - 1));
}

#endif

}  // namespace sinter::cuda
