// Inputs on their way to a device: read by several threads into a ring of pinned buffers, uploaded in order; or straight
// into the device's memory, as soon as nothing uses the place any more.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <vector>

#include "../engine/engine.h"
#include "computed-inputs.h"
#include "direct-reads.h"
#include "host-pool.h"
#include "lane.h"

namespace sinter {

/// Pinned buffers of one lane, used in turn.
class UploadRing {
 public:
  UploadRing(Device& device, int buffers, uint64_t bytes);

  /// The lane that uploaded from it is gone, and its marks with it.
  void forget();

 private:
  friend class Inflow;
  struct Buffer {
    DeviceMemory memory;
    /// Behind the last upload from it.
    Mark mark = 0;
    bool read = true;
    /// Whether the piece lies in the device's memory already.
    bool arrived = false;
    std::optional<Failure> failure;
  };
  std::vector<Buffer> buffers_;
  uint64_t bytes_;
  std::mutex mutex_;
  std::condition_variable read_;
};

/// Elements of one input, and where they go.
struct Piece {
  int input;
  uint64_t begin, count;
  std::byte* to;
};

/// Writes elements [begin, begin + count) of an input next to each other, as they are stored. Throws SOURCE_FAILED.
void read_elements(const Op& op, int input, uint64_t begin, uint64_t count, std::byte* to);

/// Whether `read_elements` can read the input: nothing is computed on the way. Else ComputedInputs does.
bool is_stored(const InputSpan& span);

/// All that one pass loads.
class Inflow {
 public:
  /// `direct`: null where all files go through host memory.
  Inflow(Op& op, ComputedInputs& computed, const Lane& lane, HostPool& pool, UploadRing& ring, DirectReads* direct);
  /// Waits for the reads that have begun.
  ~Inflow();
  Inflow(const Inflow&) = delete;
  Inflow& operator=(const Inflow&) = delete;

  /// Adds elements [begin, end) of an input to what is to be loaded; they are cut to the size of the buffers.
  void add(int input, uint64_t begin, uint64_t end, std::byte* to);
  /// Ends a group: what `load` loads at once.
  void end_group() { groups_.push_back(pieces_.size()); }

  /// Queues the uploads of the next group behind a mark of this or another queue (0: none), for which it waits where
  /// something is read directly. @returns the mark behind them.
  Mark load(Mark after);
  /// Begins to read what comes next, as far as there are buffers.
  void read_on();

 private:
  bool may_begin();
  bool read(const Piece& piece, const DirectReads::Way& way, std::byte* pinned);
  void read_next();
  void upload_next();

  Op& op_;
  ComputedInputs& computed_;
  const Lane& lane_;
  HostPool& pool_;
  UploadRing& ring_;
  DirectReads* const direct_;
  std::vector<Piece> pieces_;
  std::vector<size_t> groups_;
  size_t group_ = 0;
  /// Pieces whose reading has begun, and that are uploaded.
  size_t begun_ = 0;
  size_t uploaded_ = 0;
  /// Pieces before this one lie where nothing is read any more.
  size_t free_ = 0;
  /// How the next piece is to be read, once that is decided.
  std::optional<DirectReads::Way> way_;
};

}  // namespace sinter
