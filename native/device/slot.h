// What one thread needs to compute one op at a time on a device: a lane, device memory, pinned buffers.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "direct-reads.h"
#include "inflow.h"
#include "lane.h"
#include "outflow.h"
#include "slices.h"

namespace sinter {

/// Pinned memory of one slot.
struct Staging {
  int upload_buffers;
  uint64_t upload_bytes;
  int blocks;
};

/// Pinned memory for sums, tables and tallies, which are small.
constexpr uint64_t kControlBytes = 2 << 20;

/// How a device's pinned memory is divided: the number of slots, and what each of them gets.
inline std::pair<int, Staging> staging_of(uint64_t pinned) {
  const int slots = static_cast<int>(std::clamp<uint64_t>(pinned / (64 << 20), 1, 3));
  const uint64_t each = pinned / static_cast<uint64_t>(slots);
  const uint64_t blocks = std::clamp<uint64_t>(each / 2 / kDigestBytes, 2, 8);
  const uint64_t used = blocks * (kDigestBytes + kDirectAlign) + kControlBytes;
  const uint64_t piece = each > used ? (each - used) / 8 / kDirectAlign * kDirectAlign : 0;
  return {slots, {8, std::clamp<uint64_t>(piece, 64 << 10, 4 << 20), static_cast<int>(blocks)}};
}

/// One piece of device memory, dealt out to one op after the other.
class Arena {
 public:
  /// `direct`: reads into it; null: nothing does.
  explicit Arena(DirectReads* direct) : direct_(direct) {}
  ~Arena() { drop(); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Makes all of it free again, and at least `bytes` large. Throws DeviceTrouble.
  void clear(Device& device, uint64_t bytes, uint64_t most);
  /// Gives the memory back.
  void drop();
  template <class T>
  T* take(uint64_t count) {
    std::byte* const at = memory_.data() + used_;
    used_ += align_buffer(count * sizeof(T));
    return reinterpret_cast<T*>(at);
  }

 private:
  DirectReads* const direct_;
  DeviceMemory memory_;
  uint64_t used_ = 0;
};

class Slot {
 public:
  /// `memory`: most bytes of the device's that the slot takes. `direct`: null where all files go through host memory.
  Slot(Device& device, const Staging& staging, uint64_t memory, DirectReads* direct)
      : device_(device), staging_(staging), direct_(direct), most_(memory), memory_(memory), arena_(direct) {}

  /// Allocates what is not there yet. Throws DeviceTrouble.
  void open();
  /// After an op that was given up: waits for what is queued, and forgets it.
  void drop_lane();
  /// After the device had too little memory: what is taken is given back, and half as much is asked for from now on.
  /// @returns whether that is worth another try; where it is not, the next op begins with all again.
  bool shrink();

  const Lane& lane() const { return *lane_; }
  Arena& arena() { return arena_; }
  DirectReads* direct() const { return direct_; }
  UploadRing& ring() { return *ring_; }
  BlockBuffers& blocks() { return *blocks_; }
  std::byte* control() const { return control_.data(); }
  uint64_t memory() const { return memory_; }

 private:
  Device& device_;
  Staging staging_;
  DirectReads* const direct_;
  const uint64_t most_;
  uint64_t memory_;
  // The lane goes first: memory is free only when nothing is queued that uses it.
  Arena arena_;
  std::unique_ptr<UploadRing> ring_;
  std::unique_ptr<BlockBuffers> blocks_;
  DeviceMemory control_;
  std::unique_ptr<Lane> lane_;
};

}  // namespace sinter
