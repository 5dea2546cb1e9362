// Reads of files straight into a device's memory, past the host's: whether a piece of a file is read so, and the reading.
//
// Pages that the system holds in memory are copied from there, which is faster than any disk. The others are read directly
// where the file system serves it, what comes is right, and it was not slower on the first pieces than reading them through
// the host's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "../io/source.h"
#include "cufile.h"
#include "lane.h"

namespace sinter {

/// When files are read straight into a device's memory: where that is found to be faster, wherever it works, or not at all.
enum class DirectUse { automatic, always, never };

class DirectReads {
 public:
  /// `library`: cuFile's functions, alive as long as this.
  DirectReads(Device& device, const Cufile& library, DirectUse use);
  ~DirectReads();
  DirectReads(const DirectReads&) = delete;
  DirectReads& operator=(const DirectReads&) = delete;

  class File;
  /// How a piece is to be read: from `file` directly, or through the host's memory where that is null.
  struct Way {
    std::shared_ptr<File> file;
    /// The time that it takes is to be told.
    bool timed = false;
  };
  /// For `bytes` of a source from `offset` on. On a thread that may use the device.
  Way way(const std::shared_ptr<Source>& source, uint64_t offset, uint64_t bytes);
  /// Reads all of them to device memory, on any thread. @returns whether it did; if not, nothing of that file system is read
  /// so again.
  bool read(File& file, uint64_t offset, uint64_t bytes, std::byte* to);
  /// How long a piece took whose way is timed.
  void took(const Source& source, bool directly, uint64_t bytes, double seconds);

  /// Whether the kernel should be asked for a source's pages ahead: not where they are to stay on the disk.
  bool is_read_ahead(const Source& source);

  /// Device memory that is read into from now on, and for the last time. Only reading becomes faster by it.
  void adopt(const DeviceMemory& memory);
  void abandon(const DeviceMemory& memory);

 private:
  struct Times {
    uint64_t bytes = 0;
    double seconds = 0;
  };
  struct FileSystem {
    bool works = true;
    bool checked = false;
    Times direct, staged;
    /// Whether the trial found the way through the host's memory to be faster.
    bool is_slower() const;
  };

  /// An address as cuFile wants it: memory that it knows by its beginning.
  struct Place {
    std::byte* base;
    uint64_t offset;
  };

  std::shared_ptr<File> open(const std::shared_ptr<Source>& source);
  bool check(File& file, const Source& source);
  bool read_all(File& file, uint64_t offset, uint64_t bytes, Place to);

  Device& device_;
  const Cufile& library_;
  const DirectUse use_;
  std::mutex mutex_;
  std::map<uint64_t, FileSystem> file_systems_;
  std::map<const Source*, std::shared_ptr<File>> files_;
  /// Bytes by where they begin.
  std::map<std::byte*, uint64_t> adopted_;
};

}  // namespace sinter
