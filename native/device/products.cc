#include "products.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "../io/error.h"

namespace sinter {
namespace {

/// Of a weight as it is stored: what is copied and multiplied at a time. Two of them are under way.
constexpr uint64_t kSlabBytes = 16 << 20;
/// Of a slab once it is widened.
constexpr uint64_t kSlabElements = 8 << 20;
/// Tokens whose activations are on the device at a time, at most: each such group is sent all weights.
constexpr uint64_t kMostTokens = 16384;
/// Part of a slab that one thread copies at a time.
constexpr uint64_t kCopyBytes = 1 << 20;

constexpr int kAsItIs = 0;
constexpr int kTransposed = 1;

}  // namespace

struct DeviceProducts::State {
  /// Memory of the device, or pinned, that grows on demand.
  struct Room {
    void* memory = nullptr;
    uint64_t bytes = 0;
  };

  Device& device;
  const Cublas& library;
  const uint64_t memory;
  DeviceLane* lane = nullptr;
  Cublas::Handle handle = nullptr;
  int widen = -1;
  Room pinned_slab[2], stored[2], widened[2], flags;
  Room pinned_in, pinned_out, in, out;
  /// Behind the copy and behind the product of the slab that each place was last used for.
  Mark copied[2] = {}, used[2] = {};

  State(Device& device, const Cublas& library, uint64_t memory) : device(device), library(library), memory(memory) {}

  ~State() {
    if (handle != nullptr && device.enter() == DeviceStatus::ok) library.destroy(handle);
    if (lane != nullptr) device.release(lane);
    for (Room* room : {&stored[0], &stored[1], &widened[0], &widened[1], &flags, &in, &out}) {
      if (room->memory != nullptr) device.release(room->memory);
    }
    for (Room* room : {&pinned_slab[0], &pinned_slab[1], &pinned_in, &pinned_out}) {
      if (room->memory != nullptr) device.release_pinned(room->memory);
    }
  }

  void check(DeviceStatus status) const {
    if (status != DeviceStatus::ok) throw Failure("DEVICE_FAILED", device.message());
  }

  void check_library(int status, const char* call) const {
    if (status != 0) {
      throw Failure("DEVICE_FAILED", library.path + ": " + call + " failed with status " + std::to_string(status));
    }
  }

  void grow(Room& room, uint64_t bytes, bool pinned) {
    if (room.bytes >= bytes) return;
    if (room.memory != nullptr) pinned ? device.release_pinned(room.memory) : device.release(room.memory);
    room = {};
    check(pinned ? device.allocate_pinned(bytes, &room.memory) : device.allocate(bytes, &room.memory));
    room.bytes = bytes;
  }

  void open() {
    check(device.enter());
    check(device.create_lane(&lane));
    check_library(library.create(&handle), "cublasCreate");
    check_library(library.set_stream(handle, lane->stream(Queue::compute)), "cublasSetStream");
    widen = device.find("linear");
    if (widen < 0) throw Failure("DEVICE_FAILED", "the device's library cannot widen weights");
    for (int place = 0; place < 2; place++) {
      grow(pinned_slab[place], kSlabBytes, true);
      grow(stored[place], kSlabBytes, false);
      grow(widened[place], kSlabElements * sizeof(float), false);
    }
    grow(flags, sizeof(uint64_t), false);
  }

  uint64_t tokens_at_once(uint64_t row_floats) const {
    const uint64_t fixed = 2 * (kSlabBytes + kSlabElements * sizeof(float));
    const uint64_t left = memory > fixed ? memory - fixed : 0;
    return std::clamp<uint64_t>(left / (row_floats * sizeof(float)), 1, kMostTokens);
  }

  /// Rows [begin, begin + rows) of the weight, as float32 in `widened[place]` once the queue is there.
  void send(Team& team, const Matrix& weight, uint64_t begin, uint64_t rows, int place) {
    const uint64_t row_bytes = weight.columns * element_size(weight.dtype);
    const uint64_t bytes = rows * row_bytes;
    const std::byte* const from = weight.data + begin * row_bytes;
    auto* const to = static_cast<std::byte*>(pinned_slab[place].memory);
    if (copied[place] != 0) check(lane->reach(copied[place]));
    team.run((bytes + kCopyBytes - 1) / kCopyBytes, [&](uint64_t part) {
      const uint64_t at = part * kCopyBytes;
      memcpy(to + at, from + at, std::min(kCopyBytes, bytes - at));
    });
    if (used[place] != 0) check(lane->wait(Queue::upload, used[place]));
    check(lane->upload(stored[place].memory, to, bytes));
    check(lane->mark(Queue::upload, copied[place]));
    check(lane->wait(Queue::compute, copied[place]));
    Job job;
    job.inputs = 1;
    job.input[0] = {nullptr, weight.dtype, 0};
    job.count = job.input_count = rows * weight.columns;
    job.rows = rows;
    job.columns = weight.columns;
    job.out = Dtype::F32;
    job.wide = weight.dtype == Dtype::F64;
    job.params = {1.0};
    Slice slice;
    slice.end = job.count;
    slice.input[0] = stored[place].memory;
    check(lane->map(widen, job, slice, widened[place].memory, static_cast<uint64_t*>(flags.memory)));
  }

  /// `count` rows of `width` floats, in memory `stride` apart, to the device without gaps.
  void upload(Room& pinned, Room& to, const float* from, uint64_t count, uint64_t width, uint64_t stride) {
    const uint64_t bytes = count * width * sizeof(float);
    grow(pinned, bytes, true);
    grow(to, bytes, false);
    auto* const room = static_cast<float*>(pinned.memory);
    for (uint64_t row = 0; row < count; row++) memcpy(room + row * width, from + row * stride, width * sizeof(float));
    check(lane->upload(to.memory, pinned.memory, bytes));
  }

  /// For as many tokens as fit.
  void multiply(Team& team, const Matrix& weight, const float* a, uint64_t count, float* c, uint64_t stride,
                float keep) {
    const uint64_t outputs = weight.rows;
    const uint64_t rows_at_once =
        std::min(kSlabBytes / (weight.columns * element_size(weight.dtype)), kSlabElements / weight.columns);
    if (rows_at_once == 0) throw Failure("BAD_ARGUMENT", "a row of the weight is too long for the device");
    upload(pinned_in, in, a, count, weight.columns, weight.columns);
    if (keep != 0.0f) {
      upload(pinned_out, out, c, count, outputs, stride);
    } else {
      grow(pinned_out, count * outputs * sizeof(float), true);
      grow(out, count * outputs * sizeof(float), false);
    }
    const float one = 1.0f;
    int place = 0;
    for (uint64_t begin = 0; begin < outputs; begin += rows_at_once, place = 1 - place) {
      const uint64_t rows = std::min(rows_at_once, outputs - begin);
      send(team, weight, begin, rows, place);
      // In columns, as cuBLAS counts: the weight is columns x rows, the activations columns x tokens.
      check(device.enter());
      const int columns = static_cast<int>(weight.columns);
      check_library(
          library.sgemm(handle, kTransposed, kAsItIs, static_cast<int>(rows), static_cast<int>(count), columns, &one,
                        static_cast<const float*>(widened[place].memory), columns, static_cast<const float*>(in.memory),
                        columns, &keep, static_cast<float*>(out.memory) + begin, static_cast<int>(outputs)),
          "cublasSgemm");
      check(lane->mark(Queue::compute, used[place]));
      check(lane->wait(Queue::download, used[place]));
    }
    Mark done = 0;
    check(lane->download(pinned_out.memory, out.memory, count * outputs * sizeof(float)));
    check(lane->mark(Queue::download, done));
    check(lane->reach(done));
    const auto* const found = static_cast<const float*>(pinned_out.memory);
    for (uint64_t row = 0; row < count; row++) {
      memcpy(c + row * stride, found + row * outputs, outputs * sizeof(float));
    }
  }
};

DeviceProducts::DeviceProducts(Device& device, const Cublas& library, uint64_t memory)
    : state_(std::make_unique<State>(device, library, memory)) {
  state_->open();
}

DeviceProducts::~DeviceProducts() = default;

void DeviceProducts::multiply(Team& team, const Matrix& weight, const float* in, uint64_t count, float* out,
                              uint64_t stride, float keep) {
  const uint64_t group = state_->tokens_at_once(weight.columns + weight.rows);
  for (uint64_t begin = 0; begin < count; begin += group) {
    state_->multiply(team, weight, in + begin * weight.columns, std::min(group, count - begin), out + begin * stride,
                     stride, keep);
  }
}

}  // namespace sinter
