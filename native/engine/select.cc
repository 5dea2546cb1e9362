#include "select.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "../io/error.h"

namespace sinter {
namespace {

/// Tensors up to this size are ranked whole, in one task.
constexpr uint64_t kRankWhole = 65536;
/// Elements sampled together: a run is one or two cache lines of each input.
constexpr uint32_t kRun = 64;
constexpr uint64_t kLeastSample = 16384;
constexpr uint64_t kMostSample = 1 << 20;
/// Half the width of the bracket, in standard deviations of the sample's quantile.
constexpr double kMargin = 5.0;
/// Values collected for one selection before tasks only count.
constexpr uint64_t kCollectRoom = 8 << 20;
/// Rounds before bisection takes over.
constexpr int kGuessedRounds = 4;
/// Bisection of 64 bits ends before this, unless an input changes while it is read.
constexpr int kMostRounds = 80;

template <class Bits>
constexpr Bits kLargest = sizeof(Bits) == 4 ? static_cast<Bits>(0x7F800001) : static_cast<Bits>(0x7FF0000000000001);

template <class Bits>
struct State {
  bool settled = false;
  Threshold threshold = kKeepAll;
  Bracket<Bits> bracket{};
  /// The threshold lies in [least, most].
  Bits least = 0;
  Bits most = kLargest<Bits>;
  int rounds = 0;
  std::atomic<uint64_t> collected{0};
  std::vector<Tally<Bits>> tallies;
  /// Once the threshold's value is known: which of its equals is the last kept, and the task that holds it.
  bool locating = false;
  uint32_t locate_task = 0;
  uint64_t locate_rank = 0;
};

template <class Bits>
class BracketSelector final : public Selector {
 public:
  BracketSelector(const Kernel& kernel, const Job& job, const SelectFunctions<Bits>& functions, uint64_t slice)
      : job_(job), functions_(functions), slice_(std::min(slice, job.count)) {
    kernel.selections(job, selections_);
    states_ = std::vector<State<Bits>>(selections_.size());
    for (size_t s = 0; s < selections_.size(); s++) {
      if (selections_[s].share_of_nonzero >= 0 || selections_[s].value) continue;
      const uint64_t k = selections_[s].k;
      states_[s].settled = k == 0 || k >= job.count;
      states_[s].threshold = k == 0 ? kKeepNone : kKeepAll;
    }
    tasks_per_slice_ = (slice_ + kTaskElements - 1) / kTaskElements;
    const uint64_t rest = job.count % slice_;
    tally_tasks_ =
        static_cast<uint32_t>(job.count / slice_ * tasks_per_slice_ + (rest + kTaskElements - 1) / kTaskElements);
    start(Step::sample);
  }

  uint32_t tasks() const override {
    switch (step_) {
      case Step::sample:
      case Step::locate:
        return static_cast<uint32_t>(active_.size());
      case Step::tally:
        return tally_tasks_;
      default:
        return 0;
    }
  }

  void run(uint32_t task, Scratch& scratch) override {
    switch (step_) {
      case Step::sample:
        return job_.count <= kRankWhole ? rank_whole(active_[task], scratch) : sample(active_[task], scratch);
      case Step::tally:
        return tally(task, scratch);
      default:
        return locate(active_[task], scratch);
    }
  }

  void advance() override {
    if (step_ == Step::sample) return start(Step::tally);
    if (step_ == Step::locate) return start(Step::done);
    for (const size_t s : active_) resolve(s);
    start(Step::tally);
    if (active_.empty()) start(Step::locate);
  }

  std::vector<Threshold> thresholds() const override {
    std::vector<Threshold> result;
    for (const State<Bits>& state : states_) result.push_back(state.threshold);
    return result;
  }

  bool tallies() const override { return step_ == Step::tally; }

  std::vector<TallyWish> wishes() const override {
    std::vector<TallyWish> list;
    for (const size_t s : active_) {
      const State<Bits>& state = states_[s];
      list.push_back({s, selections_[s], state.bracket.low, state.bracket.high, state.collected.load() < kCollectRoom});
    }
    return list;
  }

  void put(size_t number, uint32_t task, const Tally<uint64_t>& counts, const void* values,
           uint64_t collected) override {
    State<Bits>& state = states_[number];
    const Bits* const first = static_cast<const Bits*>(values);
    state.tallies[task] = {counts.above,  counts.equal_high, counts.equal_low,
                           counts.inside, counts.zeros,      std::vector<Bits>(first, first + collected)};
    state.collected += collected;
  }

 private:
  enum class Step { sample, tally, locate, done };

  /// The elements of a tally's task.
  std::pair<uint64_t, uint64_t> range_of(uint32_t task) const {
    const uint64_t slice = task / tasks_per_slice_ * slice_;
    const uint64_t begin = slice + task % tasks_per_slice_ * kTaskElements;
    return {begin, std::min({job_.count, begin + kTaskElements, slice + slice_})};
  }

  /// Begins a step on the selections it concerns: those unsettled, for `locate` those whose value is known.
  void start(Step step) {
    step_ = step;
    active_.clear();
    for (size_t s = 0; s < states_.size(); s++) {
      if (!states_[s].settled && states_[s].locating == (step == Step::locate)) active_.push_back(s);
    }
    if (step != Step::tally) return;
    for (const size_t s : active_) {
      State<Bits>& state = states_[s];
      state.tallies = std::vector<Tally<Bits>>(tally_tasks_);
      state.collected = 0;
      if (++state.rounds > kMostRounds) throw Failure("SOURCE_FAILED", "an input changed while it was read");
    }
  }

  void rank_whole(size_t s, Scratch& scratch) {
    State<Bits>& state = states_[s];
    std::vector<Bits> all(job_.count);
    read(s, scratch, 0, job_.count, all.data());
    std::vector<Bits> ranked = all;
    const uint64_t k = wanted(s, static_cast<uint64_t>(std::count(all.begin(), all.end(), Bits{0})));
    state.settled = true;
    if (k == 0) {
      state.threshold = kKeepNone;
      return;
    }
    std::nth_element(ranked.begin(), ranked.begin() + (k - 1), ranked.end(), std::greater<Bits>());
    const Bits value = ranked[k - 1];
    uint64_t equals = k;
    for (const Bits bits : all) equals -= bits > value ? 1 : 0;
    int64_t last = -1;
    for (uint64_t i = 0; i < job_.count && equals > 0; i++) {
      if (all[i] != value) continue;
      last = static_cast<int64_t>(i);
      equals--;
    }
    state.threshold = {value, last};
  }

  /// How many elements to keep, where `zeros` of them are zero.
  uint64_t wanted(size_t s, uint64_t zeros) const {
    const Selection& selection = selections_[s];
    if (selection.share_of_nonzero < 0) return selection.k;
    return static_cast<uint64_t>(selection.share_of_nonzero * static_cast<double>(job_.count - zeros));
  }

  void sample(size_t s, Scratch& scratch) {
    const uint64_t size = std::clamp(job_.count / 1024, kLeastSample, kMostSample);
    const uint64_t runs = size / kRun;
    std::vector<Bits> values(runs * kRun);
    for (uint64_t run = 0; run < runs; run++) {
      const uint64_t begin = static_cast<uint64_t>(static_cast<double>(run) / static_cast<double>(runs - 1) *
                                                   static_cast<double>(job_.count - kRun));
      functions_.magnitudes(job_, scratch, selections_[s].input, begin, kRun, values.data() + run * kRun);
    }
    double share = static_cast<double>(selections_[s].k) / static_cast<double>(job_.count);
    if (selections_[s].share_of_nonzero >= 0) {
      const auto zeros = std::count(values.begin(), values.end(), Bits{0});
      share = selections_[s].share_of_nonzero * (1.0 - static_cast<double>(zeros) / static_cast<double>(values.size()));
    }
    guess(states_[s], values, share);
  }

  /// Brackets the value that `share` of the sample exceed, within what is known.
  static void guess(State<Bits>& state, std::vector<Bits>& values, double share) {
    const double size = static_cast<double>(values.size());
    const double margin = kMargin * std::sqrt(size * share * (1.0 - share)) + 8.0;
    const double upper = std::floor(size * share - margin);
    const double lower = std::ceil(size * share + margin);
    // Whatever stands before the first rank is larger than the second: only the rest is ordered again.
    auto rest = values.begin();
    const auto nth = [&](double rank, Bits otherwise) {
      if (rank < 0 || rank >= size) return otherwise;
      const auto at = values.begin() + static_cast<std::ptrdiff_t>(rank);
      std::nth_element(rest, at, values.end(), std::greater<Bits>());
      rest = at;
      return *at;
    };
    state.bracket.high = std::clamp(nth(upper, state.most), state.least, state.most);
    state.bracket.low = std::clamp(nth(lower, state.least), state.least, state.bracket.high);
  }

  void tally(uint32_t task, Scratch& scratch) {
    const auto [begin, end] = range_of(task);
    std::vector<Bracket<Bits>> brackets(states_.size());
    std::vector<Tally<Bits>*> tallies(states_.size(), nullptr);
    for (const size_t s : active_) {
      State<Bits>& state = states_[s];
      brackets[s] = state.bracket;
      brackets[s].room = state.collected.load() < kCollectRoom ? kTaskElements : 0;
      tallies[s] = &state.tallies[task];
    }
    functions_.tally(job_, scratch, selections_, brackets, begin, end, tallies);
    for (size_t s = 0; s < tallies.size(); s++) {
      if (tallies[s] != nullptr) states_[s].collected += tallies[s]->values.size();
    }
  }

  /// From the tallies of a whole pass: the threshold, or the next bracket.
  void resolve(size_t s) {
    State<Bits>& state = states_[s];
    const Bits low = state.bracket.low;
    const Bits high = state.bracket.high;
    uint64_t above = 0, equal_high = 0, equal_low = 0, inside = 0, collected = 0, zeros = 0;
    for (const Tally<Bits>& tally : state.tallies) {
      above += tally.above;
      equal_high += tally.equal_high;
      equal_low += tally.equal_low;
      inside += tally.inside;
      collected += tally.values.size();
      zeros += tally.zeros;
    }
    uint64_t k = wanted(s, zeros);
    if (k == 0) {
      state.settled = true;
      state.threshold = kKeepNone;
      return;
    }
    if (k <= above) {
      state.least = high + 1;
      return rebracket(state);
    }
    k -= above;
    if (k <= equal_high) return found(s, high, k, equal_high, &Tally<Bits>::equal_high);
    k -= equal_high;
    if (k <= inside) {
      if (collected == inside) return choose(s, k);
      state.least = low + 1;
      state.most = high - 1;
      return narrow(state, static_cast<double>(k) / static_cast<double>(inside));
    }
    k -= inside;
    if (low != high && k <= equal_low) return found(s, low, k, equal_low, &Tally<Bits>::equal_low);
    state.most = low - 1;
    rebracket(state);
  }

  /// All values inside the bracket are at hand: the k-th largest of them is the threshold.
  void choose(size_t s, uint64_t k) {
    State<Bits>& state = states_[s];
    std::vector<Bits> values;
    for (const Tally<Bits>& tally : state.tallies)
      values.insert(values.end(), tally.values.begin(), tally.values.end());
    std::nth_element(values.begin(), values.begin() + (k - 1), values.end(), std::greater<Bits>());
    const Bits value = values[k - 1];
    uint64_t equals = 0;
    for (Tally<Bits>& tally : state.tallies) {
      uint64_t larger = 0;
      tally.equal_high = 0;
      for (const Bits bits : tally.values) {
        larger += bits > value ? 1 : 0;
        tally.equal_high += bits == value ? 1 : 0;
      }
      k -= larger;
      equals += tally.equal_high;
    }
    found(s, value, k, equals, &Tally<Bits>::equal_high);
  }

  /// The threshold is `value`, and the first `keep` of its `equals` are kept: `count` says how many each task saw.
  void found(size_t s, Bits value, uint64_t keep, uint64_t equals, uint64_t Tally<Bits>::*count) {
    State<Bits>& state = states_[s];
    state.threshold = {value, INT64_MAX};
    state.settled = keep == equals || selections_[s].value;
    if (!state.settled) {
      uint32_t task = 0;
      while (keep > state.tallies[task].*count) keep -= state.tallies[task++].*count;
      state.locating = true;
      state.locate_task = task;
      state.locate_rank = keep;
    }
    state.tallies.clear();
    state.tallies.shrink_to_fit();
  }

  void narrow(State<Bits>& state, double share) {
    std::vector<Bits> values;
    for (const Tally<Bits>& tally : state.tallies)
      values.insert(values.end(), tally.values.begin(), tally.values.end());
    if (state.rounds >= kGuessedRounds || values.empty()) return rebracket(state);
    guess(state, values, share);
  }

  /// The whole of what is possible, or its middle value alone once guesses have failed.
  static void rebracket(State<Bits>& state) {
    if (state.rounds < kGuessedRounds) {
      state.bracket.low = state.least;
      state.bracket.high = state.most;
    } else {
      state.bracket.low = state.bracket.high = state.least + (state.most - state.least) / 2;
    }
  }

  void locate(size_t s, Scratch& scratch) {
    State<Bits>& state = states_[s];
    const auto [begin, end] = range_of(state.locate_task);
    const Bits value = static_cast<Bits>(state.threshold.bits);
    uint64_t left = state.locate_rank;
    Bits bits[kReadChunk];
    for (uint64_t at = begin; at < end; at += kReadChunk) {
      const uint32_t n = static_cast<uint32_t>(std::min<uint64_t>(end - at, kReadChunk));
      functions_.magnitudes(job_, scratch, selections_[s].input, at, n, bits);
      // Half of a fine-tune may equal the threshold, in no order that a branch predictor learns: counted by vectors, and
      // looked at one by one in the last chunk only.
      Bits equals = 0;
      for (uint32_t i = 0; i < n; i++) equals += bits[i] == value ? 1 : 0;
      if (equals < left) {
        left -= equals;
        continue;
      }
      for (uint32_t i = 0; i < n; i++) {
        if (bits[i] != value || --left > 0) continue;
        state.threshold.last_equal = static_cast<int64_t>(at + i);
        state.settled = true;
        return;
      }
    }
    throw Failure("SOURCE_FAILED", "an input changed while it was read");
  }

  static constexpr uint32_t kReadChunk = 1024;

  void read(size_t s, Scratch& scratch, uint64_t begin, uint64_t end, Bits* out) {
    for (uint64_t at = begin; at < end; at += kReadChunk) {
      const uint32_t n = static_cast<uint32_t>(std::min<uint64_t>(end - at, kReadChunk));
      functions_.magnitudes(job_, scratch, selections_[s].input, at, n, out + (at - begin));
    }
  }

  const Job& job_;
  const SelectFunctions<Bits>& functions_;
  std::vector<Selection> selections_;
  std::vector<State<Bits>> states_;
  /// Indices of the selections that the step at hand works on.
  std::vector<size_t> active_;
  const uint64_t slice_;
  uint64_t tasks_per_slice_ = 1;
  uint32_t tally_tasks_ = 0;
  Step step_ = Step::done;
};

}  // namespace

std::unique_ptr<Selector> Selector::create(const Kernel& kernel, const Job& job, uint64_t slice) {
  if (job.wide) return std::make_unique<BracketSelector<uint64_t>>(kernel, job, kernel.select64, slice);
  return std::make_unique<BracketSelector<uint32_t>>(kernel, job, kernel.select32, slice);
}

}  // namespace sinter
