// NVIDIA's library for reading files straight into a device's memory (GPUDirect Storage), which is opened at run time where
// it is there. Declared here by what its manual says, so that no header of it is needed to build:
// https://docs.nvidia.com/gpudirect-storage/api-reference-guide/
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>

namespace sinter {

/// The functions that are used, of any version from 1.0 on.
struct Cufile {
  /// 0 is success; `driver` is CUDA's own error where `error` says that there is one.
  struct Status {
    int error;
    int driver;
  };
  /// Of a file: kind 1 is a descriptor of the system.
  struct Description {
    int kind;
    union {
      int descriptor;
      void* handle;
    } of;
    const void* operations;
  };
  using Handle = void*;

  Status (*open_driver)();
  Status (*register_file)(Handle* handle, Description* description);
  void (*deregister_file)(Handle handle);
  /// Memory that is read into many times, so that it is pinned once.
  Status (*register_memory)(const void* memory, size_t bytes, int flags);
  Status (*deregister_memory)(const void* memory);
  /// Bytes that were read, on return in the memory; below zero where that failed. Of any thread whose device is current.
  ssize_t (*read)(Handle handle, void* memory, size_t bytes, off_t file_offset, off_t memory_offset);

  /// What was opened.
  std::string path;
};

/// The library with its driver, opened once; null with the reason in `absence`.
/// @param file its file; empty: the one that the system finds.
const Cufile* cufile(const std::string& file, std::string& absence);

}  // namespace sinter
