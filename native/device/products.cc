#include "products.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "../io/error.h"
#include "cublas.h"
#include "slices.h"

namespace sinter {
namespace {

/// A slab: of a weight as it is stored, or of activations, what is copied at a time. Two are under way, each with a pinned
/// buffer. On the device a slab of a weight has room for itself, and once it is widened for as many elements as it has pairs
/// of bytes.
constexpr uint64_t kMostSlab = 16 << 20;
constexpr uint64_t kLeastSlab = 64 << 10;
constexpr uint64_t kSlabRooms = 2 * (1 + sizeof(float) / 2);
/// What cuBLAS takes of a device by itself, at most: its workspace on devices of compute capability 9.0.
constexpr uint64_t kLibraryBytes = 32 << 20;
/// With less of a device's memory it would be sent all weights again for every few tokens.
constexpr uint64_t kLeastMemory = 64 << 20;
/// Tokens whose activations are on the device at a time, at most: each such group is sent all weights.
constexpr uint64_t kMostTokens = 16384;
/// Part of a slab that one thread copies at a time.
constexpr uint64_t kCopyBytes = 1 << 20;

constexpr int kAsItIs = 0;
constexpr int kTransposed = 1;

/// Half of the device's memory at most, and what is pinned.
uint64_t slab_of(uint64_t memory, uint64_t pinned) {
  const uint64_t left = std::max(memory, kLibraryBytes) - kLibraryBytes;
  const uint64_t wanted = std::min(left / 2 / kSlabRooms, pinned == 0 ? kMostSlab : pinned / 2);
  return std::clamp(wanted / kBufferAlign * kBufferAlign, kLeastSlab, kMostSlab);
}

/// Rows of floats in host memory, `stride` apart.
template <class Float>
struct Rows {
  Float* data;
  uint64_t width, stride;

  /// Calls `copy(at, done, n)` for the pieces, each within a row, of floats [begin, begin + count) as they are numbered
  /// without gaps; `done` of them came before.
  template <class Copy>
  void pieces(uint64_t begin, uint64_t count, const Copy& copy) const {
    for (uint64_t done = 0; done < count;) {
      const uint64_t row = (begin + done) / width;
      const uint64_t column = (begin + done) % width;
      const uint64_t n = std::min(count - done, width - column);
      copy(data + row * stride + column, done, n);
      done += n;
    }
  }
};

}  // namespace

struct DeviceProducts::State {
  /// Memory of the device that grows on demand.
  struct Room {
    void* memory = nullptr;
    uint64_t bytes = 0;
  };

  Device& device;
  const uint64_t slab;
  /// For the activations of some tokens: what goes in, and behind it what comes out.
  const uint64_t activation_bytes;
  const Cublas* library = nullptr;
  DeviceLane* lane = nullptr;
  Cublas::Handle handle = nullptr;
  int widen = -1;
  Room stored[2], widened[2], flags, activations;
  void* pinned[2] = {};
  /// Behind the last upload from each pinned slab, and behind the last product of each slab on the device.
  Mark copied[2] = {}, used[2] = {};

  State(Device& device, uint64_t memory, uint64_t pinned)
      : device(device),
        slab(slab_of(memory, pinned)),
        activation_bytes(std::max(memory, kLeastMemory) - kLibraryBytes - kSlabRooms * slab - 2 * kBufferAlign) {
    if (memory < kLeastMemory) {
      throw Failure("DEVICE_FAILED", "forward passes take " + std::to_string(kLeastMemory >> 20) +
                                         " MiB of a device's memory at least, and may take " +
                                         std::to_string(memory >> 20));
    }
  }

  ~State() {
    if (handle != nullptr && device.enter() == DeviceStatus::ok) library->destroy(handle);
    if (lane != nullptr) device.release(lane);
    for (Room* room : {&stored[0], &stored[1], &widened[0], &widened[1], &flags, &activations}) {
      if (room->memory != nullptr) device.release(room->memory);
    }
    for (void* const memory : pinned) {
      if (memory != nullptr) device.release_pinned(memory);
    }
  }

  void check(DeviceStatus status) const {
    if (status != DeviceStatus::ok) throw Failure("DEVICE_FAILED", device.message());
  }

  void check_library(int status, const char* call) const {
    if (status != 0) {
      throw Failure("DEVICE_FAILED", library->path + ": " + call + " failed with status " + std::to_string(status));
    }
  }

  void grow(Room& room, uint64_t bytes) {
    if (room.bytes >= bytes) return;
    if (room.memory != nullptr) device.release(room.memory);
    room = {};
    check(device.allocate(bytes, &room.memory));
    room.bytes = bytes;
  }

  /// The newest that works with the device's driver.
  void open_library(const std::string& file) {
    std::string absence;
    library = cublas(file, absence);
    if (library == nullptr) throw Failure("DEVICE_FAILED", "cuBLAS is not there: " + absence);
    const Cublas* const newest = library;
    int failed = 0;
    for (; library != nullptr; library = cublas(file, absence, library)) {
      const int status = library->create(&handle);
      if (status == 0) return;
      handle = nullptr;
      if (library == newest) failed = status;
    }
    library = newest;
    check_library(failed, "cublasCreate");
  }

  void open(const std::string& file) {
    check(device.enter());
    check(device.create_lane(&lane));
    open_library(file);
    check_library(library->set_stream(handle, lane->stream(Queue::compute)), "cublasSetStream");
    widen = device.find("linear");
    if (widen < 0) throw Failure("DEVICE_FAILED", "the device's library cannot widen weights");
    for (int place = 0; place < 2; place++) {
      check(device.allocate_pinned(slab, &pinned[place]));
      grow(stored[place], slab);
      grow(widened[place], slab / 2 * sizeof(float));
    }
    // Passes add to what is there, which nobody looks at.
    grow(flags, sizeof(uint64_t));
    check(lane->clear(flags.memory, sizeof(uint64_t)));
  }

  uint64_t tokens_at_once(uint64_t row_floats) const {
    const uint64_t tokens = std::min(activation_bytes / (row_floats * sizeof(float)), kMostTokens);
    if (tokens == 0) throw Failure("DEVICE_FAILED", "a token's activations are too large for the device's memory");
    return tokens;
  }

  /// A pinned slab, once what was uploaded from it has arrived.
  std::byte* free_slab(int place) const {
    if (copied[place] != 0) check(lane->reach(copied[place]));
    return static_cast<std::byte*>(pinned[place]);
  }

  /// Calls `copy(begin, count)` for parts of so many bytes, side by side.
  template <class Copy>
  static void in_parts(Team& team, uint64_t bytes, const Copy& copy) {
    team.run((bytes + kCopyBytes - 1) / kCopyBytes, [&](uint64_t part) {
      const uint64_t begin = part * kCopyBytes;
      copy(begin, std::min(kCopyBytes, bytes - begin));
    });
  }

  /// Rows [begin, begin + rows) of the weight, as float32 in `widened[place]` once the queue is there.
  void send(Team& team, const Matrix& weight, uint64_t begin, uint64_t rows, int place) {
    const uint64_t row_bytes = weight.columns * element_size(weight.dtype);
    const uint64_t bytes = rows * row_bytes;
    const std::byte* const from = weight.data + begin * row_bytes;
    std::byte* const to = free_slab(place);
    in_parts(team, bytes, [&](uint64_t at, uint64_t n) { memcpy(to + at, from + at, n); });
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

  /// So many floats to the device, where they lie without gaps. The weight that is sent next comes behind them.
  void upload(Team& team, const Rows<const float>& from, uint64_t count, float* to) {
    const uint64_t some = slab / sizeof(float);
    int place = 0;
    for (uint64_t begin = 0; begin < count; begin += some, place = 1 - place) {
      const uint64_t bytes = std::min(some, count - begin) * sizeof(float);
      std::byte* const room = free_slab(place);
      in_parts(team, bytes, [&](uint64_t at, uint64_t part) {
        from.pieces(begin + at / sizeof(float), part / sizeof(float),
                    [&](const float* piece, uint64_t done, uint64_t n) {
                      memcpy(room + at + done * sizeof(float), piece, n * sizeof(float));
                    });
      });
      check(lane->upload(to + begin, room, bytes));
      check(lane->mark(Queue::upload, copied[place]));
    }
  }

  /// So many floats back, once all products are there: nothing is uploaded any more then, so that the slabs are free.
  void download(Team& team, const float* from, uint64_t count, const Rows<float>& to) {
    Mark computed = 0;
    check(lane->mark(Queue::compute, computed));
    check(lane->wait(Queue::download, computed));
    const uint64_t some = slab / sizeof(float);
    Mark arrived[2] = {};
    uint64_t taken = 0;
    const auto take = [&] {
      const uint64_t place = taken / some % 2;
      const uint64_t floats = std::min(some, count - taken);
      check(lane->reach(arrived[place]));
      const auto* const room = static_cast<const std::byte*>(pinned[place]);
      in_parts(team, floats * sizeof(float), [&](uint64_t at, uint64_t part) {
        to.pieces(taken + at / sizeof(float), part / sizeof(float), [&](float* piece, uint64_t done, uint64_t n) {
          memcpy(piece, room + at + done * sizeof(float), n * sizeof(float));
        });
      });
      taken += floats;
    };
    for (uint64_t begin = 0; begin < count; begin += some) {
      const uint64_t place = begin / some % 2;
      if (begin - taken == 2 * some) take();
      check(lane->download(pinned[place], from + begin, std::min(some, count - begin) * sizeof(float)));
      check(lane->mark(Queue::download, arrived[place]));
    }
    while (taken < count) take();
  }

  /// For as many tokens as fit.
  void multiply(Team& team, const Matrix& weight, const float* a, uint64_t count, float* c, uint64_t stride,
                float keep) {
    const uint64_t outputs = weight.rows;
    const uint64_t rows_at_once =
        std::min(slab / (weight.columns * element_size(weight.dtype)), slab / 2 / weight.columns);
    if (rows_at_once == 0) throw Failure("DEVICE_FAILED", "a row of a weight is too long for the device's memory");
    const uint64_t in_bytes = align_buffer(count * weight.columns * sizeof(float));
    grow(activations, in_bytes + count * outputs * sizeof(float));
    auto* const in = static_cast<float*>(activations.memory);
    float* const out = in + in_bytes / sizeof(float);
    upload(team, {a, weight.columns, weight.columns}, count * weight.columns, in);
    if (keep != 0.0f) upload(team, {c, outputs, stride}, count * outputs, out);
    const float one = 1.0f;
    int place = 0;
    for (uint64_t begin = 0; begin < outputs; begin += rows_at_once, place = 1 - place) {
      const uint64_t rows = std::min(rows_at_once, outputs - begin);
      send(team, weight, begin, rows, place);
      // In columns, as cuBLAS counts: the weight is columns x rows, the activations columns x tokens.
      check(device.enter());
      const int columns = static_cast<int>(weight.columns);
      check_library(library->sgemm(handle, kTransposed, kAsItIs, static_cast<int>(rows), static_cast<int>(count),
                                   columns, &one, static_cast<const float*>(widened[place].memory), columns, in,
                                   columns, &keep, out + begin, static_cast<int>(outputs)),
                    "cublasSgemm");
      check(lane->mark(Queue::compute, used[place]));
    }
    download(team, out, count * outputs, {c, outputs, stride});
  }
};

DeviceProducts::DeviceProducts(Device& device, const std::string& cublas, uint64_t memory, uint64_t pinned)
    : state_(std::make_unique<State>(device, memory, pinned)) {
  state_->open(cublas);
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
