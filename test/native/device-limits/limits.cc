// Loaded before the C++ library: threads and memory that the addon does not get, once it is told so.

#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {

std::atomic<long> started_before{0}, threads_refused{0}, memory_refused{0}, met{0};

/// Whether code at this address lies in a file of such a name: Bun's own threads and memory are left alone.
bool lies_in(const void* code, const char* name) {
  Dl_info info;
  return dladdr(code, &info) != 0 && std::strstr(info.dli_fname, name) != nullptr;
}

}  // namespace

extern "C" {

/// Of the threads that C++ is to start from now on, so many are started, then so many are not.
void limit_threads(long started, long refused) {
  met = 0;
  threads_refused = refused;
  started_before = started;
}

/// So many pieces of memory, of a megabyte or more, are refused to the addon's own threads.
void limit_memory(long refused) {
  met = 0;
  memory_refused = refused;
}

/// What was refused since then.
long limits_met() { return met; }

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*), void* with) {
  static const auto real = reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
  if (threads_refused > 0 && lies_in(__builtin_return_address(0), "libstdc++") && started_before-- <= 0 &&
      threads_refused-- > 0) {
    met++;
    return EAGAIN;
  }
  return real(thread, attributes, run, with);
}
}

void* operator new(size_t size) {
  if (size >= 1 << 20 && memory_refused > 0 && gettid() != getpid() &&
      lies_in(__builtin_return_address(0), "sinter.node") && memory_refused-- > 0) {
    met++;
    throw std::bad_alloc();
  }
  void* const memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
