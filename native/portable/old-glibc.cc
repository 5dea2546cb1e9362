/**
 * What lets an addon that is linked on a new system load on one with an older C library: it is part of releases alone
 * (SINTER_PORTABLE). glibc gives a function a new version where it is moved or changed, and the linker takes the newest.
 * CMakeLists.txt sends calls of these functions, the C++ library's too, to __wrap_ functions, which take the oldest.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#if defined(__x86_64__)
#define SINTER_OLDEST "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define SINTER_OLDEST "GLIBC_2.17"
#else
#error "releases are for x64 and arm64"
#endif

// Calls of a function of the C library go to its oldest version.
#define SINTER_TAKE_OLDEST(result, name, parameters, arguments) \
  result old_##name parameters;                                 \
  __asm__(".symver old_" #name ", " #name "@" SINTER_OLDEST);   \
  result __wrap_##name parameters { return old_##name arguments; }

extern "C" {

// Moved from libdl into libc in glibc 2.34.
SINTER_TAKE_OLDEST(int, dladdr, (const void* address, Dl_info* info), (address, info))
SINTER_TAKE_OLDEST(int, dlclose, (void* library), (library))
SINTER_TAKE_OLDEST(char*, dlerror, (), ())
SINTER_TAKE_OLDEST(void*, dlopen, (const char* path, int flags), (path, flags))
SINTER_TAKE_OLDEST(void*, dlsym, (void* library, const char* name), (library, name))

// From libpthread, likewise.
SINTER_TAKE_OLDEST(int, pthread_create,
                   (pthread_t * thread, const pthread_attr_t* attributes, void* (*run)(void*), void* argument),
                   (thread, attributes, run, argument))
SINTER_TAKE_OLDEST(int, pthread_detach, (pthread_t thread), (thread))
SINTER_TAKE_OLDEST(void*, pthread_getspecific, (pthread_key_t key), (key))
SINTER_TAKE_OLDEST(int, pthread_join, (pthread_t thread, void** result), (thread, result))
SINTER_TAKE_OLDEST(int, pthread_key_create, (pthread_key_t * key, void (*end)(void*)), (key, end))
// By which the C++ library knows whether there can be threads.
SINTER_TAKE_OLDEST(int, __pthread_key_create, (pthread_key_t * key, void (*end)(void*)), (key, end))
SINTER_TAKE_OLDEST(int, pthread_key_delete, (pthread_key_t key), (key))
SINTER_TAKE_OLDEST(int, pthread_once, (pthread_once_t * once, void (*run)()), (once, run))
SINTER_TAKE_OLDEST(int, pthread_rwlock_rdlock, (pthread_rwlock_t * lock), (lock))
SINTER_TAKE_OLDEST(int, pthread_rwlock_unlock, (pthread_rwlock_t * lock), (lock))
SINTER_TAKE_OLDEST(int, pthread_rwlock_wrlock, (pthread_rwlock_t * lock), (lock))
SINTER_TAKE_OLDEST(int, pthread_setspecific, (pthread_key_t key, const void* value), (key, value))

// Since glibc 2.29 they report errors otherwise.
SINTER_TAKE_OLDEST(double, exp, (double x), (x))
SINTER_TAKE_OLDEST(double, log, (double x), (x))
SINTER_TAKE_OLDEST(double, pow, (double x, double y), (x, y))

// Functions since glibc 2.33, inline before: on 64 bits the kernel's structure is the C library's.
int __wrap_fstat(int file, struct stat* info) { return static_cast<int>(syscall(SYS_fstat, file, info)); }
int __wrap_stat(const char* path, struct stat* info) {
  return static_cast<int>(syscall(SYS_newfstatat, AT_FDCWD, path, info, 0));
}
int __wrap_lstat(const char* path, struct stat* info) {
  return static_cast<int>(syscall(SYS_newfstatat, AT_FDCWD, path, info, AT_SYMLINK_NOFOLLOW));
}

// Since glibc 2.32; false is always true enough: reference counts are then changed atomically.
__attribute__((visibility("hidden"))) char __libc_single_threaded = 0;

#ifdef DLFO_STRUCT_HAS_EH_DBASE
struct Search {
  uintptr_t address;
  dl_find_object* found;
};

static int look_into(dl_phdr_info* object, size_t, void* data) {
  const Search& search = *static_cast<const Search*>(data);
  const ElfW(Phdr)* loaded = nullptr;
  const ElfW(Phdr)* frames = nullptr;
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& part = object->dlpi_phdr[i];
    const uintptr_t begin = object->dlpi_addr + part.p_vaddr;
    if (part.p_type == PT_LOAD && search.address >= begin && search.address - begin < part.p_memsz) loaded = &part;
    if (part.p_type == PT_GNU_EH_FRAME) frames = &part;
  }
  if (loaded == nullptr || frames == nullptr) return 0;
  *search.found = {};
  search.found->dlfo_map_start = reinterpret_cast<void*>(object->dlpi_addr + loaded->p_vaddr);
  search.found->dlfo_map_end = reinterpret_cast<void*>(object->dlpi_addr + loaded->p_vaddr + loaded->p_memsz);
  search.found->dlfo_eh_frame = reinterpret_cast<void*>(object->dlpi_addr + frames->p_vaddr);
  return 1;
}

// Since glibc 2.35: where the C++ library finds how to unwind the function at an address. Exceptions need it.
__attribute__((visibility("hidden"))) int _dl_find_object(void* address, dl_find_object* found) noexcept {
  Search search{reinterpret_cast<uintptr_t>(address), found};
  return dl_iterate_phdr(look_into, &search) == 1 ? 0 : -1;
}
#endif

}  // extern "C"
