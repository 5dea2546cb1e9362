// One op on one device, from its first pass to its last written byte.
//
// Each pass goes over the op's elements slice by slice: while the device computes one, the next is read and uploaded, and
// the results of the one before are downloaded. Inputs stay in the device's memory from pass to pass where they fit; else
// each pass reads them again into two buffers in turn. Sums are folded, and thresholds decided, on the host, by the code
// that the CPU's passes use.
#pragma once

#include <functional>
#include <stdexcept>

#include "slot.h"

namespace sinter {

/// The op does not fit into what memory the device may use.
struct NoRoom : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Values that each task of a tally may collect: twice what a bracket is expected to hold of the smallest samples.
constexpr uint64_t kTallyRoom = kTaskElements / 8;

class DeviceOp {
 public:
  /// `kernel`: its number on the device.
  DeviceOp(Op& op, int kernel, Slot& slot, HostPool& pool);

  /// Fills the op's digests and checksums and its place in the sink. Throws NoRoom before anything is done, DeviceTrouble,
  /// and Failure CANCELLED, or what reading and writing throw; the slot's lane is to be dropped then.
  void run();

 private:
  struct TallyRoom;

  Demand demand() const;
  void lay_out();
  uint64_t unit() const;
  bool is_ranked(int input) const;
  uint64_t sum_count() const;
  uint64_t part_rows() const;

  /// Calls `pass(i, slice)` for slices of `step` elements, each in the device's memory then.
  void sweep(uint64_t step, const std::function<void(uint64_t, const Slice&)>& pass);
  std::byte* place(int input, uint64_t slice, uint64_t begin, uint64_t element) const;
  Slice slice_at(uint64_t number, uint64_t begin, uint64_t end) const;

  void measure_rows();
  void rank();
  void select();
  void tally(Selector& selector, uint64_t step);
  void take_tallies(Selector& selector, const std::vector<TallyWish>& wishes, const TallyRoom& room, uint64_t first,
                    uint64_t tasks);
  bool reduce();
  void reduce_whole(double* sums);
  void upload_groups();
  void map();

  /// Small things, there and back; both wait. A download waits for what is in the compute queue.
  void send(void* to, const void* from, uint64_t bytes);
  void fetch(void* to, const void* from, uint64_t bytes);
  struct Part {
    std::byte* to;
    const std::byte* from;
    uint64_t bytes;
  };
  void fetch(const std::vector<Part>& parts);

  Op& op_;
  Job& job_;
  const Kernel& kernel_;
  const int number_;
  Slot& slot_;
  HostPool& pool_;
  ComputedInputs computed_;
  const Lane& lane_;

  Slicing slicing_;
  /// Elements that are in the device's memory to stay.
  uint64_t loaded_ = 0;
  std::byte* inputs_[2][kMaxInputs] = {};
  /// Behind the last pass that read each of the two buffers.
  Mark read_[2] = {};
  std::byte* out_[2] = {};
  std::byte* tallies_[2] = {};
  uint64_t* non_finite_ = nullptr;
  double* sums_ = nullptr;
  /// Sums of a group in the first round.
  uint64_t sums_first_ = 0;
  double* table_ = nullptr;
  double* groups_ = nullptr;
  bool has_groups_ = false;
  uint32_t* limits_[kMaxInputs] = {};
  uint64_t* masks_[kMaxInputs] = {};
  bool has_masks_ = false;
};

}  // namespace sinter
