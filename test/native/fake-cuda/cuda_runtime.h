// As much of the CUDA runtime as the host's side of native/cuda uses, on a machine without a device: nothing is computed,
// and what is asked for is noted. What fails is said by `fake`.
#pragma once

#include <cstddef>
#include <cstdint>

enum cudaError_t : int {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidDeviceFunction = 98,
  cudaErrorNoDevice = 100,
  cudaErrorNoKernelImageForDevice = 209,
  cudaErrorJitCompilerNotFound = 221,
  cudaErrorUnsupportedPtxVersion = 222,
};

/// Work that was queued, by its number.
struct FakeStream {
  uint64_t queued = 0;
};
/// The place in a stream that it was recorded at last.
struct FakeEvent {
  const FakeStream* stream = nullptr;
  uint64_t place = 0;
};
using cudaStream_t = FakeStream*;
using cudaEvent_t = FakeEvent*;

struct Fake {
  /// What the functions that probe, release and synchronise answer.
  cudaError_t probe = cudaSuccess;
  cudaError_t release = cudaSuccess;
  cudaError_t synchronise = cudaSuccess;
  int integrated = 0;
  /// Of the calling thread, until it is asked for.
  cudaError_t last = cudaSuccess;
  /// What was waited for last.
  FakeEvent waited;
};
inline Fake fake;

inline cudaError_t answer(cudaError_t error) {
  if (error != cudaSuccess) fake.last = error;
  return error;
}

enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2 };
constexpr unsigned cudaStreamNonBlocking = 1;
constexpr unsigned cudaEventBlockingSync = 1;
constexpr unsigned cudaEventDisableTiming = 2;
constexpr unsigned cudaHostAllocPortable = 1;

struct cudaDeviceProp {
  char name[256];
  int major, minor, multiProcessorCount, integrated;
};

inline cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
inline cudaError_t cudaDriverGetVersion(int* version) { return *version = 12040, cudaSuccess; }
inline cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 12080, cudaSuccess; }
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* all, int) {
  return *all = {"Fake", 12, 1, 4, fake.integrated}, cudaSuccess;
}
inline cudaError_t cudaMemGetInfo(size_t* free, size_t* total) { return *free = 1000, *total = 4000, cudaSuccess; }
inline cudaError_t cudaMalloc(void** at, size_t) { return *at = &fake, cudaSuccess; }
inline cudaError_t cudaFree(void*) { return answer(fake.release); }
inline cudaError_t cudaHostAlloc(void** at, size_t, unsigned) { return *at = &fake, cudaSuccess; }
inline cudaError_t cudaFreeHost(void*) { return answer(fake.release); }

inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  return *stream = new FakeStream(), cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t stream) { return delete stream, cudaSuccess; }
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return answer(fake.synchronise); }
inline cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t event, unsigned) {
  return fake.waited = *event, cudaSuccess;
}
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  return *event = new FakeEvent(), cudaSuccess;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete event, cudaSuccess; }
inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return *event = {stream, ++stream->queued}, cudaSuccess;
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t event) { return fake.waited = *event, cudaSuccess; }
inline cudaError_t cudaMemcpyAsync(void*, const void*, size_t, cudaMemcpyKind, cudaStream_t stream) {
  return stream->queued++, cudaSuccess;
}
inline cudaError_t cudaMemcpy2DAsync(void*, size_t, const void*, size_t, size_t, size_t, cudaMemcpyKind,
                                     cudaStream_t stream) {
  return stream->queued++, cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void*, int, size_t, cudaStream_t stream) { return stream->queued++, cudaSuccess; }
inline cudaError_t cudaGetLastError() {
  const cudaError_t error = fake.last;
  return fake.last = cudaSuccess, error;
}
inline const char* cudaGetErrorName(cudaError_t) { return "name"; }
inline const char* cudaGetErrorString(cudaError_t) { return "text"; }
