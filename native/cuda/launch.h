// What the kernels of a method offer to the device, and how the passes are queued.
#pragma once

#include "../device/device.h"
#include "simt.h"

namespace sinter::cuda {

/// Where a pass is queued.
struct Where {
  cudaStream_t stream;
  /// Multiprocessors of the device.
  unsigned processors;
};

/// The passes of one method; null where it has none of that kind. Arguments as in device/device.h. Everything is queued;
/// what is returned is an error of the launch.
struct DeviceKernel {
  const char* name;
  cudaError_t (*map)(const Where&, const Job&, const Slice&, void* out, uint64_t* non_finite);
  cudaError_t (*reduce)(const Where&, const Job&, const Slice&, double* sums);
  cudaError_t (*reduce_columns)(const Where&, const Job&, const Slice&, uint64_t block_rows, double* sums);
  cudaError_t (*tally)(const Where&, const Job&, const Slice&, const TallyRequest*, int count);
  cudaError_t (*rank)(const Where&, const Job&, const Slice&, int input, const uint32_t* limits, uint64_t* mask);
  cudaError_t (*measure_rows)(const Where&, const Job&, const Slice&, double* table);
};

/// Those of one file: each is compiled by itself, so that a build may compile several at a time.
struct DeviceKernels {
  const DeviceKernel* kernels;
  int count;
};

/// The number of the kernel of that name, or -1.
int find_kernel(const char* name);
/// The kernel of that number, or null.
const DeviceKernel* kernel_number(int number);
/// Whether this build has code for the current device: `cudaErrorNoKernelImageForDevice` where it has none.
cudaError_t probe_kernels();

#if defined(__CUDACC__) || defined(SINTER_EMULATE)

/// Queues a kernel whose blocks go over `work` units of work in turn: as many blocks as fit the device at once, or fewer.
template <class... Parameters, class... Arguments>
cudaError_t launch_over(const Where& where, void (*kernel)(Parameters...), uint64_t work, unsigned threads,
                        const Arguments&... arguments) {
  if (work == 0) return cudaSuccess;
  int resident = 0;
  const cudaError_t error =
      cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kernel, static_cast<int>(threads), 0);
  if (error != cudaSuccess) return error;
  const uint64_t most = static_cast<uint64_t>(resident < 1 ? 1 : resident) * where.processors;
  return launch(kernel, static_cast<unsigned>(work < most ? work : most), threads, where.stream, arguments...);
}

#endif

}  // namespace sinter::cuda
