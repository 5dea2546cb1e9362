// cuFile's functions in host memory, for tests: beside the devices of host-device.cc, whose orders say what fails.

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "cufile.h"
#include "host-orders.h"

namespace {

constexpr uint64_t kAlign = 4096;

/// Reads through a descriptor that is past the page cache, for which places and memory are aligned.
ssize_t read_aligned(int descriptor, std::byte* to, uint64_t bytes, uint64_t offset) {
  const uint64_t begin = offset / kAlign * kAlign;
  const uint64_t room = (offset + bytes - begin + kAlign - 1) / kAlign * kAlign;
  const std::unique_ptr<std::byte, decltype(&std::free)> memory(
      static_cast<std::byte*>(std::aligned_alloc(kAlign, room)), std::free);
  const ssize_t got = pread(descriptor, memory.get(), room, static_cast<off_t>(begin));
  if (got <= static_cast<ssize_t>(offset - begin)) return got < 0 ? got : 0;
  const uint64_t there = std::min(bytes, static_cast<uint64_t>(got) - (offset - begin));
  std::memcpy(to, memory.get() + (offset - begin), there);
  return static_cast<ssize_t>(there);
}

std::atomic<uint64_t> drivers{0};
std::atomic<uint64_t> files{0};
std::atomic<uint64_t> reads{0};
std::atomic<uint64_t> bytes_read{0};
std::mutex mutex;
std::map<const void*, size_t> registered;

/// Whether the address lies behind the beginning of memory that was registered: cuFile wants that beginning.
bool is_within(const std::byte* at) {
  const std::lock_guard lock(mutex);
  const auto behind = registered.upper_bound(at);
  if (behind == registered.begin()) return false;
  const auto& [base, size] = *std::prev(behind);
  return at > base && at < static_cast<const std::byte*>(base) + size;
}

}  // namespace

#define SINTER_EXPORT extern "C" __attribute__((visibility("default")))

using Cufile = sinter::Cufile;

SINTER_EXPORT Cufile::Status cuFileDriverOpen() {
  drivers++;
  return {static_cast<int>(sinter::orders().number("driver", 0)), 0};
}

SINTER_EXPORT Cufile::Status cuFileHandleRegister(void** handle, Cufile::Description* description) {
  if (description->kind != 1 || sinter::orders().text("direct") == "none") return {5023, 0};
  *handle = new int(description->of.descriptor);
  files++;
  return {0, 0};
}

SINTER_EXPORT void cuFileHandleDeregister(void* handle) {
  delete static_cast<int*>(handle);
  files--;
}

SINTER_EXPORT Cufile::Status cuFileBufRegister(const void* memory, size_t bytes, int) {
  const std::lock_guard lock(mutex);
  return {registered.emplace(memory, bytes).second ? 0 : 5034, 0};
}

SINTER_EXPORT Cufile::Status cuFileBufDeregister(const void* memory) {
  const std::lock_guard lock(mutex);
  return {registered.erase(memory) == 1 ? 0 : 5035, 0};
}

SINTER_EXPORT ssize_t cuFileRead(void* handle, void* memory, size_t bytes, off_t file_offset, off_t memory_offset) {
  sinter::Orders& orders = sinter::orders();
  const uint64_t number = ++reads;
  std::this_thread::sleep_for(std::chrono::microseconds(orders.number("direct-slow", 0)));
  if (number == orders.number("direct-fail", 0) || is_within(static_cast<std::byte*>(memory))) return -5;
  // In parts, as it may be.
  if (orders.text("direct") == "parts" && bytes > 4097) bytes = bytes / 2 + 1;
  std::byte* const to = static_cast<std::byte*>(memory) + memory_offset;
  const ssize_t got = read_aligned(*static_cast<int*>(handle), to, bytes, static_cast<uint64_t>(file_offset));
  if (got > 0 && orders.text("direct") == "wrong") to[got / 2] ^= std::byte{1};
  if (got > 0) bytes_read += static_cast<uint64_t>(got);
  return got;
}

/// Files and memory that are registered, reads and bytes so far, and how often the driver was opened.
SINTER_EXPORT void sinter_host_cufile_count(uint64_t* counts) {
  const std::lock_guard lock(mutex);
  counts[0] = files;
  counts[1] = registered.size();
  counts[2] = reads;
  counts[3] = bytes_read;
  counts[4] = drivers;
}

/// Counts of reads begin anew.
SINTER_EXPORT void sinter_host_cufile_reset() { reads = bytes_read = 0; }
