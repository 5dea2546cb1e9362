// Threads of a block on the host, one after the other: each is a coroutine that runs until it meets the others of its
// warp or block. What a kernel computes is what a GPU computes; nothing is said of races between warps.
#pragma once

#include <cuda_runtime.h>

#include <functional>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)
// Blocks run one after the other: a static variable of a kernel is what its threads share.
#define __shared__ static

struct EmulatedIndex {
  unsigned x = 0;
};
extern EmulatedIndex threadIdx, blockIdx, blockDim, gridDim;

namespace sinter::cuda {

/// Runs `body` once for each thread of each block.
void run_grid(unsigned blocks, unsigned threads, const std::function<void()>& body);
/// Waits for all threads of the block.
void meet_block();
/// Waits for all lanes of the warp. @returns what each of them gave; valid until the lane's next but one meeting.
const uint64_t* meet_warp(uint64_t value);

template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), unsigned blocks, unsigned threads, cudaStream_t,
                   const Arguments&... arguments) {
  run_grid(blocks, threads, [&] { kernel(arguments...); });
  return cudaSuccess;
}

template <class Value>
uint64_t to_slot(Value value) {
  uint64_t slot = 0;
  std::memcpy(&slot, &value, sizeof(value));
  return slot;
}

template <class Value>
Value from_slot(uint64_t slot) {
  Value value;
  std::memcpy(&value, &slot, sizeof(value));
  return value;
}

inline unsigned emulated_lane() { return threadIdx.x % 32; }

}  // namespace sinter::cuda

inline void __syncthreads() { sinter::cuda::meet_block(); }
inline void __syncwarp() { sinter::cuda::meet_warp(0); }

template <class Value>
Value __shfl_sync(unsigned, Value value, int lane) {
  return sinter::cuda::from_slot<Value>(sinter::cuda::meet_warp(sinter::cuda::to_slot(value))[lane & 31]);
}
template <class Value>
Value __shfl_down_sync(unsigned, Value value, unsigned step) {
  const unsigned lane = sinter::cuda::emulated_lane();
  const uint64_t* const slots = sinter::cuda::meet_warp(sinter::cuda::to_slot(value));
  return sinter::cuda::from_slot<Value>(slots[lane + step < 32 ? lane + step : lane]);
}
template <class Value>
Value __shfl_up_sync(unsigned, Value value, unsigned step) {
  const unsigned lane = sinter::cuda::emulated_lane();
  const uint64_t* const slots = sinter::cuda::meet_warp(sinter::cuda::to_slot(value));
  return sinter::cuda::from_slot<Value>(slots[lane >= step ? lane - step : lane]);
}
template <class Value>
Value __shfl_xor_sync(unsigned, Value value, int mask) {
  const unsigned lane = sinter::cuda::emulated_lane();
  return sinter::cuda::from_slot<Value>(
      sinter::cuda::meet_warp(sinter::cuda::to_slot(value))[lane ^ static_cast<unsigned>(mask)]);
}
inline unsigned __ballot_sync(unsigned, bool predicate) {
  const uint64_t* const slots = sinter::cuda::meet_warp(predicate ? 1 : 0);
  unsigned bits = 0;
  for (int lane = 0; lane < 32; lane++) bits |= static_cast<unsigned>(slots[lane]) << lane;
  return bits;
}
inline bool __any_sync(unsigned mask, bool predicate) { return __ballot_sync(mask, predicate) != 0; }
inline bool __all_sync(unsigned mask, bool predicate) { return __ballot_sync(mask, predicate) == mask; }
inline unsigned __match_any_sync(unsigned, unsigned value) {
  const uint64_t* const slots = sinter::cuda::meet_warp(value);
  unsigned bits = 0;
  for (int lane = 0; lane < 32; lane++) bits |= (slots[lane] == value ? 1u : 0u) << lane;
  return bits;
}
inline unsigned __reduce_or_sync(unsigned, unsigned value) {
  const uint64_t* const slots = sinter::cuda::meet_warp(value);
  unsigned all = 0;
  for (int lane = 0; lane < 32; lane++) all |= static_cast<unsigned>(slots[lane]);
  return all;
}
inline unsigned __reduce_add_sync(unsigned, unsigned value) {
  const uint64_t* const slots = sinter::cuda::meet_warp(value);
  unsigned all = 0;
  for (int lane = 0; lane < 32; lane++) all += static_cast<unsigned>(slots[lane]);
  return all;
}
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }

template <class Value>
Value atomicAdd(Value* at, Value value) {
  const Value before = *at;
  *at += value;
  return before;
}
template <class Value>
Value atomicOr(Value* at, Value value) {
  const Value before = *at;
  *at |= value;
  return before;
}
template <class Value>
Value atomicMin(Value* at, Value value) {
  const Value before = *at;
  if (value < before) *at = value;
  return before;
}
template <class Value>
Value atomicMax(Value* at, Value value) {
  const Value before = *at;
  if (value > before) *at = value;
  return before;
}
