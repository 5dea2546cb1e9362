#include "inflow.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "../engine/read-ahead.h"

namespace sinter {
namespace {

/// Rows from wherever they lie.
void read_rows(const RowGather& gather, size_t width, uint64_t begin, uint64_t count, std::byte* to) {
  while (count > 0) {
    const uint64_t row = begin / gather.width;
    const uint64_t column = begin % gather.width;
    const uint64_t n = std::min(count, gather.width - column);
    const int32_t code = gather.rows[row];
    if (code == RowGather::kZeros) {
      std::memset(to, 0, n * width);
    } else {
      std::memcpy(to, gather.at(code).data + column * width, n * width);
    }
    begin += n;
    count -= n;
    to += n * width;
  }
}

/// Whether the elements lie one after another in their file.
bool lies_in_file(const InputSpan& span) {
  return span.patches == nullptr && span.gather == nullptr && span.layout == nullptr;
}

}  // namespace

bool is_stored(const InputSpan& span) {
  if (span.patches != nullptr) return false;
  if (span.gather == nullptr) return true;
  const RowGather& gather = *span.gather;
  const auto alike = [&](const RowPiece& piece) {
    return piece.dtype == gather.pieces[0].dtype && piece.patches == nullptr;
  };
  const auto plain = [](int32_t code) { return code >= RowGather::kZeros; };
  return !gather.pieces.empty() && std::all_of(gather.pieces.begin(), gather.pieces.end(), alike) &&
         std::all_of(gather.rows.begin(), gather.rows.end(), plain);
}

void read_elements(const Op& op, int input, uint64_t begin, uint64_t count, std::byte* to) {
  const InputSpan& span = op.job.input[input];
  const size_t width = element_size(span.dtype);
  if (span.gather != nullptr) {
    read_rows(*span.gather, width, begin, count, to);
  } else {
    const std::byte* const from = elements_of(span, begin, count, to);
    if (from != to) std::memcpy(to, from, count * width);
  }
  check_sources(op);
}

UploadRing::UploadRing(Device& device, int buffers, uint64_t bytes) : bytes_(bytes) {
  buffers_.resize(static_cast<size_t>(buffers));
  for (Buffer& buffer : buffers_) buffer.memory = DeviceMemory::pinned(device, bytes);
}

void UploadRing::forget() {
  for (Buffer& buffer : buffers_) buffer.mark = 0;
}

Inflow::Inflow(Op& op, ComputedInputs& computed, const Lane& lane, HostPool& pool, UploadRing& ring,
               DirectReads* direct)
    : op_(op), computed_(computed), lane_(lane), pool_(pool), ring_(ring), direct_(direct) {}

Inflow::~Inflow() {
  std::unique_lock lock(ring_.mutex_);
  ring_.read_.wait(lock, [this] {
    return std::all_of(ring_.buffers_.begin(), ring_.buffers_.end(), [](const auto& buffer) { return buffer.read; });
  });
}

void Inflow::add(int input, uint64_t begin, uint64_t end, std::byte* to) {
  const uint64_t width = element_size(op_.job.input[input].dtype);
  const uint64_t most = ring_.bytes_ / width;
  while (begin < end) {
    const uint64_t count = std::min(most, end - begin);
    pieces_.push_back({input, begin, count, to});
    begin += count;
    to += count * width;
  }
}

Mark Inflow::load(Mark after) {
  const size_t end = groups_[group_++];
  if (uploaded_ == end) return 0;
  lane_.wait(Queue::upload, after);
  while (uploaded_ < end) {
    read_on();
    if (begun_ == uploaded_) {
      lane_.reach(after);
      free_ = end;
    } else {
      upload_next();
    }
  }
  return lane_.mark(Queue::upload);
}

void Inflow::read_on() {
  while (begun_ < pieces_.size() && begun_ - uploaded_ < ring_.buffers_.size() && may_begin()) read_next();
}

/// Decides how the next piece is read. Directly is only where the device no longer reads what lay there.
bool Inflow::may_begin() {
  if (direct_ == nullptr) return true;
  if (!way_) {
    const Piece& piece = pieces_[begun_];
    const InputSpan& span = op_.job.input[piece.input];
    const std::shared_ptr<Source>& source = op_.sources[static_cast<size_t>(piece.input)];
    const uint64_t width = element_size(span.dtype);
    way_.emplace();
    if (!computed_.has(piece.input) && lies_in_file(span)) {
      const uint64_t offset = static_cast<uint64_t>(span.data - source->data()) + piece.begin * width;
      way_ = direct_->way(source, offset, piece.count * width);
    }
  }
  return way_->file == nullptr || begun_ < free_;
}

void Inflow::read_next() {
  UploadRing::Buffer& buffer = ring_.buffers_[begun_ % ring_.buffers_.size()];
  std::function<void()> job = [this, &buffer, piece = pieces_[begun_], way = way_.value_or(DirectReads::Way{})] {
    bool arrived = false;
    const std::optional<Failure> failure = failure_of([&] { arrived = read(piece, way, buffer.memory.data()); });
    const std::lock_guard lock(ring_.mutex_);
    buffer.failure = failure;
    buffer.arrived = arrived;
    buffer.read = true;
    ring_.read_.notify_all();
  };
  lane_.reach(buffer.mark);
  buffer.mark = 0;
  buffer.failure.reset();
  buffer.read = false;
  pool_.run(std::move(job));
  way_.reset();
  begun_++;
}

/// @returns whether the piece lies in the device's memory; else it lies in the pinned memory.
bool Inflow::read(const Piece& piece, const DirectReads::Way& way, std::byte* pinned) {
  if (computed_.has(piece.input)) {
    computed_.read(piece.input, piece.begin, piece.count, pinned);
    return false;
  }
  const Source& source = *op_.sources[static_cast<size_t>(piece.input)];
  const InputSpan& span = op_.job.input[piece.input];
  const uint64_t width = element_size(span.dtype);
  const uint64_t bytes = piece.count * width;
  const auto begun = std::chrono::steady_clock::now();
  bool arrived = false;
  if (way.file != nullptr) {
    const uint64_t offset = static_cast<uint64_t>(span.data - source.data()) + piece.begin * width;
    arrived = direct_->read(*way.file, offset, bytes, piece.to);
  } else if (way.timed) {
    // As it is read where nothing goes directly: asked for ahead of the faults.
    ask_for(span.data + piece.begin * width, bytes);
  }
  if (!arrived) read_elements(op_, piece.input, piece.begin, piece.count, pinned);
  if (way.timed) {
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begun;
    direct_->took(source, arrived, bytes, taken.count());
  }
  if (arrived) op_.direct_bytes.fetch_add(bytes);
  return arrived;
}

void Inflow::upload_next() {
  UploadRing::Buffer& buffer = ring_.buffers_[uploaded_ % ring_.buffers_.size()];
  {
    std::unique_lock lock(ring_.mutex_);
    ring_.read_.wait(lock, [&] { return buffer.read; });
  }
  if (buffer.failure) throw *buffer.failure;
  const Piece& piece = pieces_[uploaded_++];
  if (buffer.arrived) return;
  const uint64_t bytes = piece.count * element_size(op_.job.input[piece.input].dtype);
  lane_.require(lane_->upload(piece.to, buffer.memory.data(), bytes));
  buffer.mark = lane_.mark(Queue::upload);
}

}  // namespace sinter
