// Loaded before the C library: makes calls on model files fail, fall short or take long, as SINTER_FAULT says:
//   CALL:WHAT:FIRST[:COUNT]   CALL pwrite, direct (a pwrite around the page cache), read, fsync, fallocate, mmap,
//                             aligned_alloc, flock; from its FIRST time on, COUNT times
//   WHAT an errno's name, `short` (half of the bytes), `slow` (100 ms), or `kill` (SIGKILL, before the call)
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { kFine = 0, kShort = -1, kSlow = -2, kKill = -3 };

static const struct {
  const char* name;
  int code;
} kWhat[] = {{"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EIO", EIO},       {"EINTR", EINTR}, {"EOPNOTSUPP", EOPNOTSUPP},
             {"ENOMEM", ENOMEM}, {"ENOLCK", ENOLCK}, {"EROFS", EROFS},   {"EACCES", EACCES}, {"EFAULT", EFAULT},
             {"EINVAL", EINVAL}, {"short", kShort},  {"slow", kSlow},    {"kill", kKill}};

/* Whether the file is one of a model: Bun's own files are left alone. */
static int concerns(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return strstr(path, ".safetensors") != NULL || strstr(path, "sinter_journal") != NULL;
}

/* What becomes of this call: kFine, or an errno, kShort, kSlow. */
static int fault(const char* call, int fd) {
  static atomic_long calls;
  const char* wanted = getenv("SINTER_FAULT");
  const size_t length = strlen(call);
  if (wanted == NULL || strncmp(wanted, call, length) != 0 || wanted[length] != ':') return kFine;
  if (fd >= 0 && !concerns(fd)) return kFine;
  const char* what = wanted + length + 1;
  const char* colon = strchr(what, ':');
  long first = 1, count = 1000000000;
  if (colon != NULL) sscanf(colon, ":%ld:%ld", &first, &count);
  const long number = atomic_fetch_add(&calls, 1) + 1;
  if (number < first || number >= first + count) return kFine;
  const size_t size = colon == NULL ? strlen(what) : (size_t)(colon - what);
  for (size_t i = 0; i < sizeof kWhat / sizeof kWhat[0]; i++) {
    if (strlen(kWhat[i].name) == size && strncmp(kWhat[i].name, what, size) == 0) return kWhat[i].code;
  }
  return kFine;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL_OR_WAIT(call, fd, result)    \
  const int what = fault(call, fd);       \
  if (what > 0) {                         \
    errno = what;                         \
    return result;                        \
  }                                       \
  if (what == kSlow) usleep(100000);      \
  if (what == kKill) kill(getpid(), SIGKILL);

ssize_t pwrite(int fd, const void* bytes, size_t count, off_t offset) {
  const int direct = (fcntl(fd, F_GETFL) & O_DIRECT) != 0 ? fault("direct", fd) : kFine;
  if (direct > 0) {
    errno = direct;
    return -1;
  }
  FAIL_OR_WAIT("pwrite", fd, -1)
  return REAL(pwrite)(fd, bytes, what == kShort && count > 1 ? count / 2 : count, offset);
}
ssize_t pwrite64(int fd, const void* bytes, size_t count, off64_t offset) { return pwrite(fd, bytes, count, offset); }

ssize_t read(int fd, void* bytes, size_t count) {
  FAIL_OR_WAIT("read", fd, -1)
  return REAL(read)(fd, bytes, count);
}

int fsync(int fd) {
  FAIL_OR_WAIT("fsync", fd, -1)
  return REAL(fsync)(fd);
}

int fallocate(int fd, int mode, off_t offset, off_t length) {
  FAIL_OR_WAIT("fallocate", fd, -1)
  return REAL(fallocate)(fd, mode, offset, length);
}

void* mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
  if (fd >= 0) {
    FAIL_OR_WAIT("mmap", fd, MAP_FAILED)
  }
  return REAL(mmap)(address, length, protection, flags, fd, offset);
}

void* aligned_alloc(size_t alignment, size_t size) {
  FAIL_OR_WAIT("aligned_alloc", -1, NULL)
  return REAL(aligned_alloc)(alignment, size);
}

int flock(int fd, int operation) {
  FAIL_OR_WAIT("flock", fd, -1)
  return REAL(flock)(fd, operation);
}
