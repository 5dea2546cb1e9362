// What a library for an accelerator offers to the addon, and all that the addon knows of one.
//
// The library is opened at run time and never linked: `sinter_devices` is its one exported function. Nothing throws across
// this boundary, and nothing that one side allocated is freed by the other. Two libraries implement it: native/cuda for
// NVIDIA devices, and one in host memory that tests use (native/device/host-device.cc).
//
// Passes here are those of engine/kernel.h, over slices whose inputs already lie in the device's memory as they are
// stored. They are bit-identical to the CPU's: same element functions, same fixed trees of sums, same random numbers.
// All work is queued; results lie in device memory until they are downloaded and the mark behind the download is reached.
#pragma once

#include <cstdint>

#include "../engine/job.h"

namespace sinter {

/// Changes whenever this header, a job's layout or the meaning of a pass does.
constexpr uint32_t kDeviceInterface = 3;

/// `lost`: nothing more can be done with the device in this process.
enum class DeviceStatus : int { ok, out_of_memory, failed, lost };

/// Work of one queue runs in order; the queues of a lane run side by side, and wait for each other's marks only.
enum class Queue : int { upload, compute, download };

/// A place in a queue; 0 is none.
using Mark = uint64_t;

struct DeviceFacts {
  char name[128];
  /// In bytes; `free` as it was when asked.
  uint64_t memory;
  uint64_t free;
  /// Compute capability.
  int major, minor;
  /// As CUDA numbers them: 12040 is 12.4. The newest that the driver serves, and what the library was built with.
  int driver, runtime;
  /// Whether files may be read straight into the device's memory.
  bool direct_storage;
};

/// Elements [begin, end) of an op whose inputs lie in device memory: `input[k]` points to element `begin` of input k, stored
/// as `job.input[k].dtype`. `begin` is a multiple of kSumBlock, or of the vectors that groups and ranks are made of.
/// Fewer than 2^31 elements.
struct Slice {
  uint64_t begin = 0;
  uint64_t end = 0;
  const void* input[kMaxInputs] = {};
  /// Of the groups that the slice touches, the first one's numbers first (`Kernel::group_table`); device memory.
  const double* groups = nullptr;
  /// Per input a bit per element, element `begin` first; device memory. Made by `rank`.
  const uint64_t* masks[kMaxInputs] = {};
};

/// What counting one selection over one task's elements found; as Tally, with values cut down to 64 bits in all cases.
struct DeviceTally {
  uint64_t above, equal_high, equal_low, inside, zeros;
  /// Values written to the task's room: as many as `inside`, or as fit.
  uint64_t collected;
};

/// One selection's part in a tally pass.
struct TallyRequest {
  Selection selection;
  uint64_t low, high;
  /// Values that each task may collect; at least 1.
  uint64_t room;
  /// Device memory: one DeviceTally, and `room` values of 8 bytes (4 where the job is not wide), for each task of
  /// kTaskElements elements of the slice. Values of task t begin at number t * room, in no fixed order.
  DeviceTally* tallies;
  void* values;
};

/// Copies and passes of one op at a time, in three queues. Used by one thread at a time.
class DeviceLane {
 public:
  virtual ~DeviceLane() = default;

  /// `pinned` is of `Device::allocate_pinned`, and stays as it is until the copy has been made.
  virtual DeviceStatus upload(void* to, const void* pinned, uint64_t bytes) = 0;
  virtual DeviceStatus download(void* pinned, const void* from, uint64_t bytes) = 0;
  /// Rows of `bytes`, `pitch` bytes apart on the device, side by side to `pinned`: one copy, not one for each.
  virtual DeviceStatus download_rows(void* pinned, const void* from, uint64_t pitch, uint64_t bytes, uint64_t rows) = 0;
  /// Fills device memory with zeros, in the compute queue.
  virtual DeviceStatus clear(void* at, uint64_t bytes) = 0;

  virtual DeviceStatus mark(Queue queue, Mark& mark) = 0;
  /// What is queued from now on waits for the mark, which may be another lane's of the same device.
  virtual DeviceStatus wait(Queue queue, Mark mark) = 0;
  /// Blocks until the mark is reached. A failure of anything queued before shows here at the latest.
  virtual DeviceStatus reach(Mark mark) = 0;
  /// What the vendor's libraries take as a stream: a cudaStream_t.
  virtual void* stream(Queue queue) = 0;

  // ---- passes, in the compute queue. `kernel` is what `Device::find` said. ----

  /// masks[input] of the slice, whole rows: della's elements that are kept. `limits`: one number per rank, device memory.
  /// Writes all words of 64 elements, bits behind the last one as 0.
  virtual DeviceStatus rank(int kernel, const Job& job, const Slice& slice, int input, const uint32_t* limits,
                            uint64_t* mask) = 0;
  /// One number per row of the slice (`job.table`), to device memory: arcee_fusion's divergences.
  virtual DeviceStatus measure_rows(int kernel, const Job& job, const Slice& slice, double* table) = 0;
  /// Adds nothing: every tally is written.
  virtual DeviceStatus tally(int kernel, const Job& job, const Slice& slice, const TallyRequest* requests,
                             int count) = 0;
  /// Grouping::whole: the sums of each block of kSumBlock elements in turn. Grouping::rows: of each row in turn, rows of
  /// more than kSumBlock elements included. `sums`: device memory, `Kernel::sum_count` numbers for each.
  virtual DeviceStatus reduce(int kernel, const Job& job, const Slice& slice, double* sums) = 0;
  /// Grouping::columns: the slice's rows in blocks of `block_rows`, the last one perhaps shorter; sum s of position p over
  /// the rows of block b, row after row, to sums[(b * sum_count + s) * positions + p]. Blocks run side by side.
  virtual DeviceStatus reduce_columns(int kernel, const Job& job, const Slice& slice, uint64_t block_rows,
                                      double* sums) = 0;
  /// Writes the slice as job.out; ors bit i into *non_finite where input i holds a NaN or an infinity. Device memory.
  virtual DeviceStatus map(int kernel, const Job& job, const Slice& slice, void* out, uint64_t* non_finite) = 0;
};

/// One accelerator. Functions may be called from any thread.
class Device {
 public:
  virtual ~Device() = default;

  virtual DeviceStatus facts(DeviceFacts& facts) = 0;
  /// Makes this the calling thread's current device, for libraries that ask the runtime for it.
  virtual DeviceStatus enter() = 0;
  /// What the last call of this thread that was not `ok` had to say.
  virtual const char* message() = 0;

  /// The number of a kernel of engine/kernel.h by its name, or -1 where this device has no such kernel.
  virtual int find(const char* kernel) = 0;

  virtual DeviceStatus allocate(uint64_t bytes, void** memory) = 0;
  virtual void release(void* memory) = 0;
  /// Host memory that the device copies from and to at full rate.
  virtual DeviceStatus allocate_pinned(uint64_t bytes, void** memory) = 0;
  virtual void release_pinned(void* memory) = 0;

  virtual DeviceStatus create_lane(DeviceLane** lane) = 0;
  virtual void release(DeviceLane* lane) = 0;
};

/// What the library's `sinter_devices` returns; lives as long as the process.
struct DeviceLibrary {
  uint32_t interface;
  /// SINTER_VERSION of the build.
  const char* version;
  /// Devices that can be used; 0 with the reason in `absence`.
  int count;
  const char* absence;
  /// Null with a reason in `absence` where the device cannot be opened.
  Device* (*open)(int index);
  /// What the library was built with, as CUDA numbers versions: also where there is no device.
  int runtime;
};

using SinterDevices = const DeviceLibrary* (*)();
constexpr const char* kDevicesSymbol = "sinter_devices";

}  // namespace sinter
