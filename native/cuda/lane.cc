#include "lane.h"

namespace sinter::cuda {

CudaLane::~CudaLane() {
  cudaSetDevice(device_);
  for (const cudaStream_t stream : streams_) {
    if (stream == nullptr) continue;
    cudaStreamSynchronize(stream);
    cudaStreamDestroy(stream);
  }
  for (const uint32_t queue : queues_) {
    if (queue != 0) marks_.close_queue(queue);
  }
  forget_error();
}

DeviceStatus CudaLane::open() {
  cudaSetDevice(device_);
  for (cudaStream_t& stream : streams_) {
    const cudaError_t error = cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    if (error != cudaSuccess) return status_of(error, "making a queue");
  }
  for (uint32_t& queue : queues_) {
    queue = marks_.open_queue();
    if (queue == 0) return status_of(cudaGetLastError(), "making marks");
  }
  return DeviceStatus::ok;
}

DeviceStatus CudaLane::upload(void* to, const void* pinned, uint64_t bytes) {
  cudaSetDevice(device_);
  return status_of(cudaMemcpyAsync(to, pinned, bytes, cudaMemcpyHostToDevice, of(Queue::upload)),
                   "copying to the device");
}

DeviceStatus CudaLane::download(void* pinned, const void* from, uint64_t bytes) {
  cudaSetDevice(device_);
  return status_of(cudaMemcpyAsync(pinned, from, bytes, cudaMemcpyDeviceToHost, of(Queue::download)),
                   "copying from the device");
}

DeviceStatus CudaLane::download_rows(void* pinned, const void* from, uint64_t pitch, uint64_t bytes, uint64_t rows) {
  cudaSetDevice(device_);
  return status_of(
      cudaMemcpy2DAsync(pinned, bytes, from, pitch, bytes, rows, cudaMemcpyDeviceToHost, of(Queue::download)),
      "copying rows from the device");
}

DeviceStatus CudaLane::clear(void* at, uint64_t bytes) {
  cudaSetDevice(device_);
  return status_of(cudaMemsetAsync(at, 0, bytes, of(Queue::compute)), "clearing device memory");
}

DeviceStatus CudaLane::mark(Queue queue, Mark& mark) {
  cudaSetDevice(device_);
  return status_of(marks_.record(queues_[static_cast<int>(queue)], of(queue), mark), "setting a mark");
}

DeviceStatus CudaLane::wait(Queue queue, Mark mark) {
  cudaSetDevice(device_);
  return status_of(marks_.wait(of(queue), mark), "waiting for a mark");
}

DeviceStatus CudaLane::reach(Mark mark) {
  cudaSetDevice(device_);
  return status_of(marks_.reach(mark), "waiting for the device");
}

template <class Has, class Pass>
DeviceStatus CudaLane::run(int kernel, const Slice& slice, const char* what, const Has& has, const Pass& pass) {
  const DeviceKernel* const found = kernel_number(kernel);
  if (found == nullptr || !has(*found)) return say(DeviceStatus::failed, "%s: no such kernel on this device", what);
  if (slice.end - slice.begin > INT32_MAX)
    return say(DeviceStatus::failed, "%s: a slice of 2^31 elements or more", what);
  if (slice.end == slice.begin) return DeviceStatus::ok;
  cudaSetDevice(device_);
  return status_of(pass(*found, Where{of(Queue::compute), processors_}), what);
}

DeviceStatus CudaLane::rank(int kernel, const Job& job, const Slice& slice, int input, const uint32_t* limits,
                            uint64_t* mask) {
  return run(
      kernel, slice, "ranking rows", [](const DeviceKernel& k) { return k.rank != nullptr; },
      [&](const DeviceKernel& k, const Where& where) { return k.rank(where, job, slice, input, limits, mask); });
}

DeviceStatus CudaLane::measure_rows(int kernel, const Job& job, const Slice& slice, double* table) {
  return run(
      kernel, slice, "measuring rows", [](const DeviceKernel& k) { return k.measure_rows != nullptr; },
      [&](const DeviceKernel& k, const Where& where) { return k.measure_rows(where, job, slice, table); });
}

DeviceStatus CudaLane::tally(int kernel, const Job& job, const Slice& slice, const TallyRequest* requests, int count) {
  return run(
      kernel, slice, "counting magnitudes", [](const DeviceKernel& k) { return k.tally != nullptr; },
      [&](const DeviceKernel& k, const Where& where) { return k.tally(where, job, slice, requests, count); });
}

DeviceStatus CudaLane::reduce(int kernel, const Job& job, const Slice& slice, double* sums) {
  return run(
      kernel, slice, "adding up", [](const DeviceKernel& k) { return k.reduce != nullptr; },
      [&](const DeviceKernel& k, const Where& where) { return k.reduce(where, job, slice, sums); });
}

DeviceStatus CudaLane::reduce_columns(int kernel, const Job& job, const Slice& slice, uint64_t block_rows,
                                      double* sums) {
  return run(
      kernel, slice, "adding up columns", [](const DeviceKernel& k) { return k.reduce_columns != nullptr; },
      [&](const DeviceKernel& k, const Where& where) { return k.reduce_columns(where, job, slice, block_rows, sums); });
}

DeviceStatus CudaLane::map(int kernel, const Job& job, const Slice& slice, void* out, uint64_t* non_finite) {
  return run(
      kernel, slice, "computing", [](const DeviceKernel& k) { return k.map != nullptr; },
      [&](const DeviceKernel& k, const Where& where) { return k.map(where, job, slice, out, non_finite); });
}

}  // namespace sinter::cuda
