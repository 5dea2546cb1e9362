#include "cublas.h"

#include <dlfcn.h>

#include <cstdlib>
#include <vector>

namespace sinter {
namespace {

struct Opened {
  Cublas library{};
  std::string absence;
};

/// Newest first.
std::vector<std::string> candidates() {
  const char* own = std::getenv("SINTER_CUBLAS_LIBRARY");
  if (own != nullptr) return {own};
  return {"libcublas.so.13", "libcublas.so.12", "libcublas.so.11", "libcublas.so"};
}

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

Opened open() {
  Opened opened;
  for (const std::string& path : candidates()) {
    void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      // The first reason is that of the newest version, or of the one that was asked for.
      if (opened.absence.empty()) opened.absence = dlerror();
      continue;
    }
    Cublas& found = opened.library;
    if (find(library, "cublasCreate_v2", found.create) && find(library, "cublasDestroy_v2", found.destroy) &&
        find(library, "cublasSetStream_v2", found.set_stream) && find(library, "cublasSgemm_v2", found.sgemm)) {
      found.path = path;
      return opened;
    }
    opened.absence = path + " has not the functions of cuBLAS";
    dlclose(library);
  }
  return opened;
}

}  // namespace

const Cublas* cublas(std::string& absence) {
  static const Opened opened = open();
  if (!opened.library.path.empty()) return &opened.library;
  absence = opened.absence;
  return nullptr;
}

}  // namespace sinter
