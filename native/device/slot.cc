#include "slot.h"

namespace sinter {
namespace {

/// Less is not worth trying.
constexpr uint64_t kLeastMemory = 1 << 20;

}  // namespace

void Arena::clear(Device& device, uint64_t bytes, uint64_t most) {
  used_ = 0;
  if (memory_.size() >= bytes) return;
  drop();
  // Somewhat more than is asked for, so that few ops find it too small.
  memory_ = DeviceMemory::on_device(device, std::max(bytes, std::min(most, bytes + bytes / 2)));
  if (direct_ != nullptr) direct_->adopt(memory_);
}

void Arena::drop() {
  if (direct_ != nullptr && memory_.size() > 0) direct_->abandon(memory_);
  memory_ = DeviceMemory();
}

void Slot::open() {
  if (ring_ == nullptr) {
    ring_ = std::make_unique<UploadRing>(device_, staging_.upload_buffers, staging_.upload_bytes);
  }
  if (blocks_ == nullptr) blocks_ = std::make_unique<BlockBuffers>(device_, staging_.blocks);
  if (control_.data() == nullptr) control_ = DeviceMemory::pinned(device_, kControlBytes);
  if (lane_ == nullptr) lane_ = std::make_unique<Lane>(device_);
}

void Slot::drop_lane() {
  lane_.reset();
  if (ring_ != nullptr) ring_->forget();
}

bool Slot::shrink() {
  drop_lane();
  arena_.drop();
  memory_ /= 2;
  if (memory_ >= kLeastMemory) return true;
  memory_ = most_;
  return false;
}

}  // namespace sinter
