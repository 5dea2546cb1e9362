#include "hash-file.h"

#include <fcntl.h>
#include <unistd.h>

#include <vector>

#include "../numeric/sha256.h"
#include "error.h"

namespace sinter {
namespace {

/// Stays in the second-level cache.
constexpr size_t kChunk = 256 << 10;

struct OpenFile {
  int fd;
  ~OpenFile() { ::close(fd); }
};

}  // namespace

std::string sha256_of_file(const std::string& path, bool portable, const std::atomic<bool>& stop) {
  const OpenFile file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) throw Failure("SOURCE_OPEN", with_errno("cannot open " + path));
#if defined(POSIX_FADV_SEQUENTIAL)
  posix_fadvise(file.fd, 0, 0, POSIX_FADV_SEQUENTIAL);
#endif
  Sha256 hash(portable);
  std::vector<std::byte> chunk(kChunk);
  while (true) {
    if (stop) throw Failure("CANCELLED", "cancelled");
    const ssize_t got = ::read(file.fd, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Failure("SOURCE_FAILED", with_errno("cannot read " + path));
    if (got == 0) break;
    hash.update(chunk.data(), static_cast<size_t>(got));
  }
  std::string hex;
  for (const uint8_t byte : hash.finish()) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex;
}

}  // namespace sinter
