#include "sink.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <mutex>

#include "error.h"

namespace sinter {
namespace {

/// Bytes written each way to see which is faster.
constexpr uint64_t kTrialBytes = 8 << 20;

/// `flushed` or `direct` in it decides without a trial, whatever the size.
constexpr const char* kWritePathVariable = "SINTER_WRITE_PATH";

/// Direct writes also save a copy and leave the cache to the inputs: they are chosen up to this much slower.
constexpr double kDirectMaySlow = 1.5;

/// Called with errno set.
const char* write_failure_code() { return errno == ENOSPC || errno == EDQUOT ? "NO_SPACE" : "SINK_WRITE"; }

/// Reserves blocks; where the file system cannot, only sets the size. @returns whether errno tells a failure.
bool reserve(int fd, uint64_t size) {
  if (size == 0) return true;
  if (fallocate(fd, 0, 0, static_cast<off_t>(size)) == 0) return true;
  if (errno != EOPNOTSUPP && errno != ENOSYS) return false;
  return ftruncate(fd, static_cast<off_t>(size)) == 0;
}

/// @returns whether all bytes were written; else errno tells why.
bool write_all(int fd, uint64_t offset, const std::byte* bytes, uint64_t count) {
  while (count > 0) {
    const ssize_t written = pwrite(fd, bytes, count, static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    bytes += written;
    offset += static_cast<uint64_t>(written);
    count -= static_cast<uint64_t>(written);
  }
  return true;
}

/// Starts writing back and, if `wait`, waits for it. Advice: not every file system can.
void write_back(int fd, uint64_t offset, uint64_t count, bool wait) {
#if defined(SYNC_FILE_RANGE_WRITE)
  const unsigned waiting = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WAIT_AFTER;
  sync_file_range(fd, static_cast<off_t>(offset), static_cast<off_t>(count),
                  SYNC_FILE_RANGE_WRITE | (wait ? waiting : 0u));
#endif
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// Writes the beginning of the file both ways; every byte of it is written again later.
bool direct_is_faster(int fd, int direct_fd) {
  std::byte* const bytes = static_cast<std::byte*>(std::aligned_alloc(kDirectAlign, kTrialBytes));
  if (bytes == nullptr) return false;
  // No two blocks alike, so that no file system compresses or shares them.
  uint64_t state = 0x9E3779B97F4A7C15u;
  for (uint64_t i = 0; i < kTrialBytes; i += 8) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    memcpy(bytes + i, &state, 8);
  }
  const auto direct_begin = std::chrono::steady_clock::now();
  bool faster = write_all(direct_fd, 0, bytes, kTrialBytes);
  const double direct = seconds_since(direct_begin);
  if (faster) {
    const auto flushed_begin = std::chrono::steady_clock::now();
    write_all(fd, kTrialBytes, bytes, kTrialBytes);
    write_back(fd, kTrialBytes, kTrialBytes, true);
    faster = direct <= kDirectMaySlow * seconds_since(flushed_begin);
  }
  std::free(bytes);
  return faster;
}

}  // namespace

std::shared_ptr<Sink> Sink::create(const std::string& path, uint64_t size, bool durable) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) {
    throw Failure(errno == EEXIST   ? "SINK_EXISTS"
                  : errno == ENOSPC ? "NO_SPACE"
                                    : "SINK_OPEN",
                  with_errno("cannot create " + path));
  }
  if (!reserve(fd, size)) {
    const Failure failure(write_failure_code(),
                          with_errno("cannot reserve " + std::to_string(size) + " bytes for " + path));
    ::close(fd);
    ::unlink(path.c_str());
    throw failure;
  }
  std::shared_ptr<Sink> sink(new Sink(path, fd, size));
  if (durable) sink->choose_path(true);
  return sink;
}

std::shared_ptr<Sink> Sink::open(const std::string& path, uint64_t size, bool durable) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) throw Failure("SINK_OPEN", with_errno("cannot open " + path));
  std::shared_ptr<Sink> sink(new Sink(path, fd, size));
  struct stat status {};
  const bool longer = fstat(fd, &status) == 0 && static_cast<uint64_t>(status.st_size) > size;
  if ((longer && ftruncate(fd, static_cast<off_t>(size)) != 0) || !reserve(fd, size)) {
    throw Failure(write_failure_code(), with_errno("cannot reserve " + std::to_string(size) + " bytes for " + path));
  }
  // A trial writes into the file, and there may be tensors.
  if (durable) sink->choose_path(false);
  return sink;
}

Sink::~Sink() {
  ::close(fd_);
  if (direct_fd_ >= 0) ::close(direct_fd_);
}

/// One trial per disk and process.
void Sink::choose_path(bool may_try) {
  if (size_ < kProbedSize && std::getenv(kWritePathVariable) == nullptr) return;
  static std::mutex mutex;
  static std::map<dev_t, WritePath> chosen;
  write_path_ = WritePath::flushed;
#if defined(O_DIRECT)
  struct stat status {};
  if (fstat(fd_, &status) != 0) return;
  const char* const wanted = std::getenv(kWritePathVariable);
  if (wanted != nullptr && std::string(wanted) == "flushed") return;
  const int direct_fd = ::open(path_.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC);
  if (direct_fd < 0) return;
  const std::lock_guard lock(mutex);
  const bool forced = wanted != nullptr && std::string(wanted) == "direct";
  const auto known = chosen.find(status.st_dev);
  WritePath path = WritePath::direct;
  if (!forced && known != chosen.end()) {
    path = known->second;
  } else if (!forced && !may_try) {
    path = WritePath::flushed;
  } else if (!forced) {
    path = direct_is_faster(fd_, direct_fd) ? WritePath::direct : WritePath::flushed;
    chosen[status.st_dev] = path;
  }
  if (path == WritePath::direct) {
    direct_fd_ = direct_fd;
  } else {
    ::close(direct_fd);
  }
  write_path_ = path;
#endif
}

void Sink::write(uint64_t offset, const std::byte* bytes, uint64_t count) {
  if (!write_all(fd_, offset, bytes, count)) {
    if (errno == EFAULT) throw Failure("SOURCE_FAILED", "an input shrank or failed while being copied", 0);
    throw Failure(write_failure_code(), with_errno("cannot write " + path_));
  }
  if (write_path_ == WritePath::flushed) write_back(fd_, offset, count, false);
}

void Sink::write_direct(uint64_t offset, const std::byte* bytes, uint64_t count) {
  const uint64_t end = offset + count;
  const uint64_t first = std::min(end, (offset + kDirectAlign - 1) / kDirectAlign * kDirectAlign);
  const uint64_t last = std::max(first, end / kDirectAlign * kDirectAlign);
  if (write_path_ == WritePath::direct && last > first) {
    if (!write_all(direct_fd_, first, bytes + (first - offset), last - first)) {
      // EFAULT: the disk cannot take it from that memory, as some drivers' pinned memory; the page cache may.
      if (errno != EINVAL && errno != EFAULT) {
        throw Failure(write_failure_code(), with_errno("cannot write " + path_));
      }
      write_path_ = WritePath::flushed;
    }
  }
  if (write_path_ != WritePath::direct || last == first) return write(offset, bytes, count);
  if (first > offset) write(offset, bytes, first - offset);
  if (end > last) write(last, bytes + (last - offset), end - last);
}

void Sink::sync() {
  if (fsync(fd_) != 0) throw Failure(write_failure_code(), with_errno("cannot write " + path_ + " to the disk"));
}

}  // namespace sinter
