#include "cublas.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <vector>

#include "../io/shared-library.h"

namespace sinter {
namespace {

struct Opened {
  Cublas library{};
  std::string reason;
  bool is_there = false;
};

Opened open(const std::string& file) {
  const SharedLibrary library(file);
  if (library.handle == nullptr) return {{}, library.reason, library.is_broken};
  Opened opened;
  Cublas& found = opened.library;
  opened.is_there = true;
  if (library.find("cublasCreate_v2", found.create) && library.find("cublasDestroy_v2", found.destroy) &&
      library.find("cublasSetStream_v2", found.set_stream) && library.find("cublasSgemm_v2", found.sgemm)) {
    found.path = file;
  } else {
    opened.reason = file + " has not the functions of cuBLAS";
  }
  return opened;
}

}  // namespace

const Cublas* cublas(const std::string& file, std::string& absence, const Cublas* newer) {
  static std::mutex mutex;
  static std::map<std::string, Opened> all;
  const std::lock_guard lock(mutex);
  const std::vector<std::string> newest_first{"libcublas.so.13", "libcublas.so.12", "libcublas.so.11", "libcublas.so"};
  const std::vector<std::string> files = file.empty() ? newest_first : std::vector{file};
  auto next = files.begin();
  if (newer != nullptr) next = std::find(files.begin(), files.end(), newer->path) + 1;
  Absence missing;
  for (; next != files.end(); next++) {
    auto known = all.find(*next);
    if (known == all.end()) known = all.emplace(*next, open(*next)).first;
    const Opened& opened = known->second;
    if (!opened.library.path.empty()) return &opened.library;
    missing.add(opened.reason, opened.is_there);
  }
  absence = missing.reason();
  return nullptr;
}

}  // namespace sinter
