#include "whole-op.h"

#include <algorithm>

#include "../../engine/sum-tree.h"

namespace sinter::cuda {
namespace {

/// Values that each task of a tally may collect, as a merge has them (device/device-op.h).
constexpr uint64_t kRoom = kTaskElements / 8;

}  // namespace

WholeOp::WholeOp(Device& device, DeviceLane& lane, const Kernel& kernel, Job& job)
    : device_(device), lane_(lane), kernel_(kernel), job_(job), number_(device.find(kernel.name)) {
  const auto take = [&](uint64_t bytes) { return std::make_unique<Memory>(device_, lane_, bytes); };
  for (int k = 0; k < job.inputs; k++) {
    const bool ranked = kernel.needs_ranks != nullptr && kernel.needs_ranks(job, k);
    limits_.push_back(ranked ? take(job.columns * sizeof(uint32_t)) : nullptr);
    masks_.push_back(ranked ? take((job.count + 63) / 64 * sizeof(uint64_t)) : nullptr);
  }
  if (kernel.selections != nullptr) {
    std::vector<Selection> selections;
    kernel.selections(job, selections);
    tasks_ = (job.count + kTaskElements - 1) / kTaskElements;
    for (size_t s = 0; s < selections.size(); s++) {
      tallies_.push_back(take(tasks_ * sizeof(DeviceTally)));
      values_.push_back(take(tasks_ * kRoom * sizeof(uint32_t)));
    }
  }
  if (kernel.sum_count != nullptr && kernel.sum_count(job) > 0) {
    sums_ =
        take((job.count + kSumBlock - 1) / kSumBlock * static_cast<uint64_t>(kernel.sum_count(job)) * sizeof(double));
  }
  non_finite_ = take(sizeof(uint64_t));
}

void WholeOp::run(const std::vector<const void*>& inputs, void* out) {
  job_.thresholds.clear();
  job_.sums.clear();
  job_.solved.clear();
  Slice slice;
  slice.end = job_.count;
  std::copy(inputs.begin(), inputs.end(), slice.input);
  if (kernel_.needs_ranks != nullptr) rank(slice);
  if (kernel_.selections != nullptr) select(slice);
  if (sums_ != nullptr) reduce(slice);
  if (kernel_.solve != nullptr) kernel_.solve(job_);
  must(lane_.clear(non_finite_->at(), sizeof(uint64_t)));
  must(lane_.map(number_, job_, slice, out, non_finite_->as<uint64_t>()));
  uint64_t non_finite = 0;
  fetch(&non_finite, *non_finite_, sizeof(non_finite));
}

void WholeOp::rank(Slice& slice) {
  for (int k = 0; k < job_.inputs; k++) {
    const auto number = static_cast<size_t>(k);
    if (masks_[number] == nullptr) continue;
    const std::vector<uint32_t> limits = kernel_.rank_limits(job_, k);
    limits_[number]->write(limits.data(), limits.size() * sizeof(uint32_t));
    must(lane_.rank(number_, job_, slice, k, limits_[number]->as<uint32_t>(), masks_[number]->as<uint64_t>()));
    slice.masks[k] = masks_[number]->as<uint64_t>();
  }
}

void WholeOp::select(const Slice& slice) {
  const std::unique_ptr<Selector> selector = Selector::create(kernel_, job_);
  Scratch scratch;
  for (uint32_t tasks = selector->tasks(); tasks > 0; tasks = selector->tasks()) {
    if (selector->tallies()) {
      tally(*selector, slice);
    } else {
      for (uint32_t task = 0; task < tasks; task++) selector->run(task, scratch);
    }
    selector->advance();
  }
  job_.thresholds = selector->thresholds();
}

void WholeOp::tally(Selector& selector, const Slice& slice) {
  const std::vector<TallyWish> wishes = selector.wishes();
  std::vector<TallyRequest> requests;
  for (size_t w = 0; w < wishes.size(); w++) {
    const TallyWish& wish = wishes[w];
    requests.push_back({wish.selection, wish.low, wish.high, wish.collect ? kRoom : 1, tallies_[w]->as<DeviceTally>(),
                        values_[w]->at()});
  }
  must(lane_.tally(number_, job_, slice, requests.data(), static_cast<int>(requests.size())));
  std::vector<DeviceTally> counts(tasks_);
  for (size_t w = 0; w < wishes.size(); w++) {
    fetch(counts.data(), *tallies_[w], tasks_ * sizeof(DeviceTally));
    const uint64_t room = requests[w].room;
    uint64_t most = 0;
    for (DeviceTally& count : counts) {
      count.collected = std::min(count.collected, room);
      most = std::max(most, count.collected);
    }
    const uint64_t bytes = most * sizeof(uint32_t);
    if (bytes > 0) {
      must(lane_.download_rows(values_[w]->pinned(), values_[w]->at(), room * sizeof(uint32_t), bytes, tasks_));
      finish();
    }
    for (uint64_t task = 0; task < tasks_; task++) {
      const DeviceTally& count = counts[task];
      selector.put(wishes[w].number, static_cast<uint32_t>(task),
                   {count.above, count.equal_high, count.equal_low, count.inside, count.zeros, {}},
                   static_cast<const std::byte*>(values_[w]->pinned()) + task * bytes, count.collected);
    }
  }
}

void WholeOp::reduce(const Slice& slice) {
  must(lane_.reduce(number_, job_, slice, sums_->as<double>()));
  const auto count = static_cast<uint64_t>(kernel_.sum_count(job_));
  const uint64_t blocks = (job_.count + kSumBlock - 1) / kSumBlock;
  std::vector<double> of_blocks(blocks * count);
  fetch(of_blocks.data(), *sums_, of_blocks.size() * sizeof(double));
  job_.sums.assign(count, 0.0);
  for (uint64_t s = 0; s < count; s++) job_.sums[s] = sum_tree(of_blocks.data() + s, blocks, count);
}

void WholeOp::fetch(void* to, const Memory& from, uint64_t bytes) {
  Mark mark = 0;
  must(lane_.mark(Queue::compute, mark));
  must(lane_.wait(Queue::download, mark));
  must(lane_.download(from.pinned(), from.at(), bytes));
  finish();
  std::memcpy(to, from.pinned(), bytes);
}

void WholeOp::finish() {
  Mark mark = 0;
  must(lane_.mark(Queue::download, mark));
  must(lane_.reach(mark));
}

}  // namespace sinter::cuda
