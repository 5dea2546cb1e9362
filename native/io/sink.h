// Sink: one output file of known size, its blocks reserved before any compute, written at final offsets.
// A Sink knows nothing of temporary names: whoever creates it passes one and renames after the commit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace sinter {

class Sink {
 public:
  /// Creates `path` with `size` bytes. Throws Failure SINK_EXISTS, NO_SPACE or SINK_OPEN; then no file is left behind.
  static std::shared_ptr<Sink> create(const std::string& path, uint64_t size);
  ~Sink();
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  /// Writes all bytes at `offset`; safe from several threads. Throws Failure NO_SPACE or SINK_WRITE, or SOURCE_FAILED
  /// where `bytes` is a mapping that can no longer be read.
  void write(uint64_t offset, const std::byte* bytes, uint64_t count);
  /// Waits until the disk has every byte. Throws Failure SINK_WRITE.
  void sync();
  uint64_t size() const { return size_; }
  const std::string& path() const { return path_; }

 private:
  Sink() = default;
  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

}  // namespace sinter
