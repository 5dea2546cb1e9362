// Sink: one output file of known size, its blocks reserved before any compute, written at final offsets.
// A Sink knows nothing of temporary names: whoever creates it passes one and renames after the commit.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace sinter {

/// Offsets, sizes and addresses of direct writes are multiples of this: the block size of today's disks and file systems.
constexpr uint64_t kDirectAlign = 4096;

/// Smaller outputs are written through the page cache: they fit in it, and finding out what is faster takes longer.
constexpr uint64_t kProbedSize = 256 << 20;

/// How bytes get to the disk.
enum class WritePath {
  /// Left to the kernel, for files that nobody waits for.
  cached,
  /// Through the page cache, written back from the first byte on: dirty pages never pile up and stall readers.
  flushed,
  /// Around the page cache, by a WritePool.
  direct,
};

class Sink {
 public:
  /// Creates `path` with `size` bytes. `durable`: it will be synced, so writing to the disk starts at once, in the way that
  /// a short trial finds faster there. Throws Failure SINK_EXISTS, NO_SPACE or SINK_OPEN; then no file is left behind.
  static std::shared_ptr<Sink> create(const std::string& path, uint64_t size, bool durable);
  /// Opens a file that is there to go on writing it, and gives it `size` bytes: what it has within them stays. Throws
  /// Failure NO_SPACE or SINK_OPEN.
  static std::shared_ptr<Sink> open(const std::string& path, uint64_t size, bool durable);
  ~Sink();
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  /// Writes all bytes at `offset`; safe from several threads. Throws Failure NO_SPACE or SINK_WRITE, or SOURCE_FAILED
  /// where `bytes` is a mapping that can no longer be read.
  void write(uint64_t offset, const std::byte* bytes, uint64_t count);
  /// The same around the page cache, but for what lies in blocks that are not whole. `bytes` and `offset` are equal modulo
  /// kDirectAlign. Where the file system refuses, or memory of that kind, this and all later writes go through the page
  /// cache.
  void write_direct(uint64_t offset, const std::byte* bytes, uint64_t count);
  /// Waits until the disk has every byte. Throws Failure SINK_WRITE.
  void sync();

  WritePath path_to_disk() const { return write_path_; }
  uint64_t size() const { return size_; }
  const std::string& path() const { return path_; }

 private:
  Sink(const std::string& path, int fd, uint64_t size) : path_(path), fd_(fd), size_(size) {}
  void choose_path(bool may_try);
  std::string path_;
  int fd_;
  uint64_t size_;
  int direct_fd_ = -1;
  std::atomic<WritePath> write_path_{WritePath::cached};
};

}  // namespace sinter
