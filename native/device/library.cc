#include "library.h"

#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <mutex>

#ifndef SINTER_VERSION
#error "SINTER_VERSION comes from package.json through CMakeLists.txt"
#endif

namespace sinter {
namespace {

constexpr const char* kLibraryFile = "libsinter_cuda.so";

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

std::string folder_of_addon() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&find_device_library), &info) == 0 || info.dli_fname == nullptr) return "";
  return folder_of(info.dli_fname);
}

std::string folder_of_executable() {
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof(path));
  return length <= 0 ? "" : folder_of(std::string(path, static_cast<size_t>(length)));
}

/// A folder that everybody may write to, such as /tmp, where an executable unpacks its addon: what lies there may be anybody's.
bool is_open_to_all(const std::string& folder) {
  struct stat info {};
  return stat(folder.c_str(), &info) == 0 && (info.st_mode & S_IWOTH) != 0;
}

/// The first of the places that has the file; where none has, where it belongs.
std::string default_path() {
  const std::string executable = folder_of_executable() + kLibraryFile;
  const std::string addon = folder_of_addon();
  const std::string beside = addon + kLibraryFile;
  if (is_open_to_all(addon)) return executable;
  if (access(beside.c_str(), F_OK) == 0) return beside;
  return access(executable.c_str(), F_OK) == 0 ? executable : beside;
}

FoundLibrary open_library(const std::string& path) {
  FoundLibrary found;
  found.path = path;
  if (access(path.c_str(), F_OK) != 0) {
    found.message = "there is no library for CUDA devices (" + path + ")";
    return found;
  }
  found.lack = Lack::version;
  void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* const reason = dlerror();
    found.message = "the library for CUDA devices does not load: " + std::string(reason == nullptr ? path : reason);
    return found;
  }
  const auto devices = reinterpret_cast<SinterDevices>(dlsym(handle, kDevicesSymbol));
  if (devices == nullptr) {
    found.message = path + " is no library for Sinter";
    return found;
  }
  const DeviceLibrary* const library = devices();
  // Of another interface nothing but its number may be looked at.
  if (library->interface != kDeviceInterface) {
    found.message = path + " speaks interface " + std::to_string(library->interface) + ", this Sinter " +
                    std::to_string(kDeviceInterface);
    return found;
  }
  if (std::string(library->version) != SINTER_VERSION) {
    found.message = path + " is of Sinter " + library->version + ", this is " + SINTER_VERSION;
    return found;
  }
  found.runtime = library->runtime;
  if (library->count <= 0) {
    found.lack = Lack::device;
    found.message = library->absence == nullptr ? "there is no CUDA device" : library->absence;
    return found;
  }
  found.lack = Lack::none;
  found.library = library;
  return found;
}

}  // namespace

FoundLibrary find_device_library(const std::string& path) { return open_library(path.empty() ? default_path() : path); }

Device* open_device(const DeviceLibrary& library, int index, std::string& reason) {
  static std::mutex mutex;
  static std::map<std::pair<const DeviceLibrary*, int>, Device*> opened;
  const std::lock_guard lock(mutex);
  Device*& device = opened[{&library, index}];
  if (device == nullptr) device = library.open(index);
  if (device == nullptr) reason = library.absence == nullptr ? "the device cannot be opened" : library.absence;
  return device;
}

std::string status_text(Device& device, DeviceStatus status) {
  const char* const what = status == DeviceStatus::out_of_memory ? "out of memory"
                           : status == DeviceStatus::lost        ? "lost"
                                                                 : "failed";
  const char* const said = device.message();
  return said == nullptr || *said == 0 ? what : std::string(what) + ": " + said;
}

}  // namespace sinter
