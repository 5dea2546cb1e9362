// The select pass: magnitudes, and how many lie above, on and inside a bracket.
#pragma once

#include "operands.h"

SINTER_KERNEL_NAMESPACE_BEGIN

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

/// Appends what lies in [low, low + width), n <= kChunk. Groups without any such value, most of them, are skipped whole.
template <class Bits>
uint32_t collect(const Bits* __restrict bits, uint32_t n, Bits low, Bits width, Bits* __restrict out) {
  constexpr uint32_t kGroup = sizeof(uint64_t);
  uint8_t inside[kChunk];
  for (uint32_t i = 0; i < n; i++) inside[i] = static_cast<Bits>(bits[i] - low) < width ? 1 : 0;
  for (uint32_t i = n; i % kGroup != 0; i++) inside[i] = 0;
  uint32_t found = 0;
  for (uint32_t i = 0; i < n; i += kGroup) {
    uint64_t any;
    memcpy(&any, inside + i, kGroup);
    if (any == 0) continue;
    for (uint32_t j = i; j < (i + kGroup < n ? i + kGroup : n); j++) {
      out[found] = bits[j];
      found += inside[j];
    }
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

SINTER_KERNEL_NAMESPACE_END
