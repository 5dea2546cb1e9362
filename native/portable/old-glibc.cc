/**
 * What lets libraries that are linked on a new system load on one with an older C library: it is part of releases alone
 * (SINTER_PORTABLE). glibc gives a function a new version where it is moved or changed, and the linker takes the newest.
 * CMakeLists.txt sends calls of these functions, those of the C++ library and of the CUDA runtime too, to __wrap_ functions,
 * which take the oldest. What a library does not call, the linker leaves out.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#if defined(__x86_64__)
#define SINTER_OLDEST "GLIBC_2.2.5"
#define SINTER_JUMP(name) "jmp *" name "@GOTPCREL(%rip)"
#elif defined(__aarch64__)
#define SINTER_OLDEST "GLIBC_2.17"
#define SINTER_JUMP(name) "b " name
#else
#error "releases are for x64 and arm64"
#endif

// Calls of a function of the C library go on to the one of that version, with the arguments where they are.
#define SINTER_TAKE(name, version)                         \
  __asm__(".section .text.__wrap_" #name                   \
          ",\"ax\",%progbits\n"                            \
          ".symver old_" #name ", " #name "@" version      \
          "\n"                                             \
          ".globl __wrap_" #name "\n.hidden __wrap_" #name \
          "\n"                                             \
          ".type __wrap_" #name                            \
          ", %function\n"                                  \
          "__wrap_" #name ":\n" SINTER_JUMP("old_" #name) "\n.previous");
#define SINTER_TAKE_OLDEST(name) SINTER_TAKE(name, SINTER_OLDEST)

// Moved from libdl into libc in glibc 2.34.
SINTER_TAKE_OLDEST(dladdr)
SINTER_TAKE_OLDEST(dlclose)
SINTER_TAKE_OLDEST(dlerror)
#if defined(__x86_64__)
SINTER_TAKE(dlmopen, "GLIBC_2.3.4")
#else
SINTER_TAKE_OLDEST(dlmopen)
#endif
SINTER_TAKE_OLDEST(dlopen)
SINTER_TAKE_OLDEST(dlsym)
SINTER_TAKE_OLDEST(dlvsym)

// From libpthread, likewise. By __pthread_key_create the C++ library knows whether there can be threads.
SINTER_TAKE_OLDEST(__pthread_key_create)
SINTER_TAKE_OLDEST(pthread_condattr_setpshared)
SINTER_TAKE_OLDEST(pthread_create)
SINTER_TAKE_OLDEST(pthread_detach)
SINTER_TAKE_OLDEST(pthread_getspecific)
SINTER_TAKE_OLDEST(pthread_join)
SINTER_TAKE_OLDEST(pthread_key_create)
SINTER_TAKE_OLDEST(pthread_key_delete)
SINTER_TAKE_OLDEST(pthread_kill)
SINTER_TAKE_OLDEST(pthread_mutex_trylock)
SINTER_TAKE_OLDEST(pthread_mutexattr_destroy)
SINTER_TAKE_OLDEST(pthread_mutexattr_init)
SINTER_TAKE_OLDEST(pthread_mutexattr_setpshared)
SINTER_TAKE_OLDEST(pthread_mutexattr_settype)
SINTER_TAKE_OLDEST(pthread_once)
SINTER_TAKE_OLDEST(pthread_rwlock_destroy)
SINTER_TAKE_OLDEST(pthread_rwlock_init)
SINTER_TAKE_OLDEST(pthread_rwlock_rdlock)
SINTER_TAKE_OLDEST(pthread_rwlock_timedrdlock)
SINTER_TAKE_OLDEST(pthread_rwlock_timedwrlock)
SINTER_TAKE_OLDEST(pthread_rwlock_tryrdlock)
SINTER_TAKE_OLDEST(pthread_rwlock_trywrlock)
SINTER_TAKE_OLDEST(pthread_rwlock_unlock)
SINTER_TAKE_OLDEST(pthread_rwlock_wrlock)
SINTER_TAKE_OLDEST(pthread_rwlockattr_destroy)
SINTER_TAKE_OLDEST(pthread_rwlockattr_init)
SINTER_TAKE_OLDEST(pthread_rwlockattr_setpshared)
SINTER_TAKE_OLDEST(pthread_setspecific)
SINTER_TAKE_OLDEST(pthread_spin_destroy)
SINTER_TAKE_OLDEST(pthread_spin_init)
SINTER_TAKE_OLDEST(pthread_spin_lock)
SINTER_TAKE_OLDEST(pthread_spin_trylock)
SINTER_TAKE_OLDEST(pthread_spin_unlock)
SINTER_TAKE_OLDEST(sem_destroy)
SINTER_TAKE_OLDEST(sem_init)
SINTER_TAKE_OLDEST(sem_post)
SINTER_TAKE_OLDEST(sem_timedwait)
SINTER_TAKE_OLDEST(sem_trywait)
SINTER_TAKE_OLDEST(sem_wait)

// From librt, likewise.
SINTER_TAKE_OLDEST(shm_open)
SINTER_TAKE_OLDEST(shm_unlink)

// Since glibc 2.29 they report errors otherwise.
SINTER_TAKE_OLDEST(exp)
SINTER_TAKE_OLDEST(log)
SINTER_TAKE_OLDEST(pow)

extern "C" {

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
