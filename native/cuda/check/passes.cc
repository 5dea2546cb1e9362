#include "passes.h"

#include <algorithm>
#include <memory>
#include <random>

#include "../../engine/select.h"
#include "../../engine/sum-tree.h"
#include "../../methods/task-vector.h"
#include "whole-op.h"

namespace sinter::cuda {
namespace {

/// Blocks of rows that sums along the first dimension are checked with.
constexpr uint64_t kColumnBlocks = 3;

class CaseCheck {
 public:
  CaseCheck(Device& device, DeviceLane& lane, Case& made, int pieces)
      : device_(device), lane_(lane), kernel_(*made.kernel), job_(made.job), number_(device.find(made.kernel->name)) {
    cut(pieces);
    for (Piece& piece : pieces_) {
      for (int k = 0; k < job_.inputs; k++) {
        const size_t width = element_size(job_.input[k].dtype);
        const uint64_t bytes = (piece.slice.end - piece.slice.begin) * width;
        piece.inputs.push_back(std::make_unique<Memory>(device_, lane_, bytes));
        piece.inputs.back()->write(job_.input[k].data + piece.slice.begin * width, bytes);
        piece.slice.input[k] = piece.inputs.back()->at();
      }
    }
  }

  std::vector<std::string> run() {
    Budget budget(uint64_t{1} << 40);
    if (kernel_.make_room != nullptr && kernel_.make_room(job_, budget)) {
      kernel_.prepare(job_, scratch_, 0, job_.count / job_.columns);
      job_.masks.empty() ? check_table() : check_masks();
    }
    if (kernel_.selections != nullptr) {
      check_tallies();
      select();
    }
    if (kernel_.sum_count != nullptr && kernel_.sum_count(job_) > 0) {
      do {
        check_sums();
      } while (kernel_.solve != nullptr && kernel_.solve(job_) && ++job_.round < 4);
    } else if (kernel_.solve != nullptr) {
      job_.sums.clear();
      kernel_.solve(job_);
    }
    if (kernel_.map != nullptr) {
      check_map();
      check_whole();
    }
    return problems_;
  }

 private:
  struct Piece {
    Slice slice;
    std::vector<std::unique_ptr<Memory>> inputs;
    std::vector<std::unique_ptr<Memory>> extras;
  };

  void cut(int pieces) {
    const bool by_rows = kernel_.grouping != nullptr || kernel_.make_room != nullptr;
    uint64_t unit = kSumBlock;
    if (by_rows) unit = job_.grouping == Grouping::columns ? job_.groups() : kPrepareRows * job_.columns;
    const uint64_t units = (job_.count + unit - 1) / unit;
    const uint64_t each = (units + static_cast<uint64_t>(pieces) - 1) / static_cast<uint64_t>(pieces) * unit;
    for (uint64_t begin = 0; begin < job_.count; begin += each) {
      Piece piece;
      piece.slice.begin = begin;
      piece.slice.end = std::min(job_.count, begin + each);
      pieces_.push_back(std::move(piece));
    }
  }

  /// Device memory for what a pass writes into a piece, kept as long as the case.
  Memory& room(Piece& piece, uint64_t bytes) {
    piece.extras.push_back(std::make_unique<Memory>(device_, lane_, bytes));
    return *piece.extras.back();
  }

  void complain(const std::string& what) { problems_.push_back(what); }

  void compare_numbers(const char* what, const double* want, const Memory& memory, const std::byte* bytes,
                       size_t count) {
    const auto* const got = reinterpret_cast<const double*>(bytes);
    if (!memory.guarded()) complain(std::string(what) + ": bytes behind the numbers were written");
    for (size_t i = 0; i < count; i++) {
      // The payload of a NaN is nobody's promise.
      if (want[i] != want[i] && got[i] != got[i]) continue;
      if (std::memcmp(&want[i], &got[i], sizeof(double)) == 0) continue;
      char text[160];
      std::snprintf(text, sizeof(text), "%s: number %zu of %zu is %.17g, not %.17g", what, i, count, got[i], want[i]);
      return complain(text);
    }
  }

  void compare_bytes(const char* what, const std::byte* want, const Memory& memory, const std::byte* got,
                     uint64_t count, size_t width) {
    if (!memory.guarded()) complain(std::string(what) + ": bytes behind the output were written");
    uint64_t wrong = 0;
    uint64_t first = 0;
    for (uint64_t i = 0; i < count; i++) {
      if (std::memcmp(want + i * width, got + i * width, width) == 0) continue;
      if (wrong++ == 0) first = i;
    }
    if (wrong == 0) return;
    const auto bits_of = [&](const std::byte* at) {
      uint64_t bits = 0;
      std::memcpy(&bits, at + first * width, width);
      return static_cast<unsigned long long>(bits);
    };
    char text[200];
    std::snprintf(text, sizeof(text), "%s: %llu of %llu differ, the first is number %llu: %llx, not %llx", what,
                  static_cast<unsigned long long>(wrong), static_cast<unsigned long long>(count),
                  static_cast<unsigned long long>(first), bits_of(got), bits_of(want));
    complain(text);
  }

  void check_masks() {
    for (int k = 1; k < job_.inputs; k++) {
      if (job_.masks[static_cast<size_t>(k)].empty()) continue;
      const std::vector<uint32_t> limits = limits_of(k);
      for (Piece& piece : pieces_) {
        const uint64_t count = piece.slice.end - piece.slice.begin;
        const uint64_t words = (count + 63) / 64;
        Memory& table = room(piece, limits.size() * 4);
        table.write(limits.data(), limits.size() * 4);
        Memory& mask = room(piece, words * 8);
        must(lane_.rank(number_, job_, piece.slice, k, table.as<uint32_t>(), mask.as<uint64_t>()));
        std::vector<uint64_t> want(words, 0);
        const std::vector<uint64_t>& all = job_.masks[static_cast<size_t>(k)];
        for (uint64_t i = 0; i < count; i++) {
          const uint64_t at = piece.slice.begin + i;
          want[i / 64] |= (all[at / 64] >> (at % 64) & 1) << (i % 64);
        }
        compare_bytes("masks", reinterpret_cast<const std::byte*>(want.data()), mask, mask.read(), words, 8);
        // Later passes read the right one, whatever this one is.
        mask.write(want.data(), words * 8);
        piece.slice.masks[k] = mask.as<uint64_t>();
      }
    }
  }

  std::vector<uint32_t> limits_of(int input) const {
    // As TaskVector has them: three numbers, then weight, density and epsilon of each model.
    const double density = job_.params[static_cast<size_t>(3 + (input - 1) * 3 + 1)];
    const double epsilon = job_.params[static_cast<size_t>(3 + (input - 1) * 3 + 2)];
    std::vector<uint32_t> limits(job_.columns);
    for (uint64_t rank = 0; rank < job_.columns; rank++)
      limits[rank] = ranked_limit(density, epsilon, rank, job_.columns);
    return limits;
  }

  void check_table() {
    for (Piece& piece : pieces_) {
      const uint64_t first = piece.slice.begin / job_.columns;
      const uint64_t rows = (piece.slice.end - piece.slice.begin) / job_.columns;
      Memory& table = room(piece, rows * 8);
      must(lane_.measure_rows(number_, job_, piece.slice, table.as<double>()));
      compare_numbers("divergences", job_.table.data() + first, table, table.read(), rows);
      table.write(job_.table.data() + first, rows * 8);
      piece.slice.groups = table.as<double>();
    }
  }

  template <class Bits>
  void check_tallies_of(const SelectFunctions<Bits>& functions) {
    std::vector<Selection> selections;
    kernel_.selections(job_, selections);
    std::mt19937_64 random(job_.key);
    for (int round = 0; round < 2; round++) {
      std::vector<Bracket<Bits>> brackets;
      for (const Selection& selection : selections) {
        std::vector<Bits> sample(std::min<uint64_t>(job_.count, 512));
        functions.magnitudes(job_, scratch_, selection.input, 0, static_cast<uint32_t>(sample.size()), sample.data());
        Bits low = sample[random() % sample.size()];
        Bits high = random() % 4 == 0 ? low : sample[random() % sample.size()];
        if (low > high) std::swap(low, high);
        brackets.push_back({low, high, round == 0 ? kTaskElements : 5});
      }
      for (Piece& piece : pieces_) check_tally(functions, selections, brackets, piece);
    }
  }

  template <class Bits>
  void check_tally(const SelectFunctions<Bits>& functions, const std::vector<Selection>& selections,
                   const std::vector<Bracket<Bits>>& brackets, Piece& piece) {
    const uint64_t count = piece.slice.end - piece.slice.begin;
    const uint64_t tasks = (count + kTaskElements - 1) / kTaskElements;
    std::vector<TallyRequest> requests;
    std::vector<std::pair<Memory*, Memory*>> rooms;
    for (size_t s = 0; s < selections.size(); s++) {
      Memory& tallies = room(piece, tasks * sizeof(DeviceTally));
      Memory& values = room(piece, tasks * brackets[s].room * sizeof(Bits));
      rooms.emplace_back(&tallies, &values);
      requests.push_back(
          {selections[s], brackets[s].low, brackets[s].high, brackets[s].room, tallies.as<DeviceTally>(), values.at()});
    }
    must(lane_.tally(number_, job_, piece.slice, requests.data(), static_cast<int>(requests.size())));
    for (size_t s = 0; s < selections.size(); s++) {
      const auto* const got = reinterpret_cast<const DeviceTally*>(rooms[s].first->read());
      const auto* const values = reinterpret_cast<const Bits*>(rooms[s].second->read());
      if (!rooms[s].second->guarded()) complain("tally: bytes behind the values were written");
      for (uint64_t task = 0; task < tasks; task++) {
        const uint64_t begin = piece.slice.begin + task * kTaskElements;
        Tally<Bits> tally;
        std::vector<Tally<Bits>*> wanted(selections.size(), nullptr);
        wanted[s] = &tally;
        std::vector<Bracket<Bits>> all = brackets;
        all[s].room = kTaskElements;
        functions.tally(job_, scratch_, selections, all, begin, std::min(piece.slice.end, begin + kTaskElements),
                        wanted);
        compare_tally(tally, got[task], values + task * brackets[s].room, brackets[s].room);
      }
    }
  }

  template <class Bits>
  void compare_tally(Tally<Bits>& want, const DeviceTally& got, const Bits* values, uint64_t room) {
    if (want.above != got.above || want.equal_high != got.equal_high || want.equal_low != got.equal_low ||
        want.inside != got.inside || want.zeros != got.zeros || got.collected != std::min(want.inside, room)) {
      char text[240];
      std::snprintf(text, sizeof(text), "tally: %llu %llu %llu %llu %llu, collected %llu, not %llu %llu %llu %llu %llu",
                    (unsigned long long)got.above, (unsigned long long)got.equal_high,
                    (unsigned long long)got.equal_low, (unsigned long long)got.inside, (unsigned long long)got.zeros,
                    (unsigned long long)got.collected, (unsigned long long)want.above,
                    (unsigned long long)want.equal_high, (unsigned long long)want.equal_low,
                    (unsigned long long)want.inside, (unsigned long long)want.zeros);
      return complain(text);
    }
    std::vector<Bits> found(values, values + got.collected);
    std::sort(found.begin(), found.end());
    std::sort(want.values.begin(), want.values.end());
    if (!std::includes(want.values.begin(), want.values.end(), found.begin(), found.end())) {
      complain("tally: collected what is not inside the bracket");
    }
  }

  void check_tallies() { job_.wide ? check_tallies_of(kernel_.select64) : check_tallies_of(kernel_.select32); }

  void select() {
    const std::unique_ptr<Selector> selector = Selector::create(kernel_, job_);
    while (const uint32_t tasks = selector->tasks()) {
      for (uint32_t task = 0; task < tasks; task++) selector->run(task, scratch_);
      selector->advance();
    }
    job_.thresholds = selector->thresholds();
  }

  /// The CPU's sums, each piece's beside those of the device, then those of the whole job as the engine makes them.
  void check_sums() {
    const size_t count = static_cast<size_t>(kernel_.sum_count(job_));
    job_.sums.assign(count * job_.groups(), 0.0);
    if (job_.grouping == Grouping::columns) return check_columns(count);
    std::vector<double> blocks;
    for (Piece& piece : pieces_) {
      const uint64_t elements = piece.slice.end - piece.slice.begin;
      const uint64_t width = job_.grouping == Grouping::rows ? job_.columns : kSumBlock;
      const uint64_t groups = (elements + width - 1) / width;
      std::vector<double> want(groups * count);
      for (uint64_t group = 0; group < groups; group++) {
        const uint64_t begin = piece.slice.begin + group * width;
        reduce_group(begin, std::min(piece.slice.end, begin + width), count, want.data() + group * count);
      }
      Memory& sums = room(piece, want.size() * 8);
      must(lane_.reduce(number_, job_, piece.slice, sums.as<double>()));
      compare_numbers(job_.round == 0 ? "sums" : "sums again", want.data(), sums, sums.read(), want.size());
      blocks.insert(blocks.end(), want.begin(), want.end());
    }
    if (job_.grouping == Grouping::rows) {
      job_.sums = blocks;
    } else {
      for (size_t s = 0; s < count; s++) job_.sums[s] = sum_tree(blocks.data() + s, blocks.size() / count, count);
    }
  }

  void reduce_group(uint64_t begin, uint64_t end, size_t count, double* out) {
    std::vector<double> blocks;
    for (uint64_t at = begin; at < end; at += kSumBlock) {
      blocks.resize(blocks.size() + count);
      kernel_.reduce(job_, scratch_, at, std::min(end, at + kSumBlock), blocks.data() + blocks.size() - count);
    }
    for (size_t s = 0; s < count; s++) out[s] = sum_tree(blocks.data() + s, blocks.size() / count, count);
  }

  void check_columns(size_t count) {
    const uint64_t positions = job_.groups();
    for (Piece& piece : pieces_) {
      const uint64_t first = piece.slice.begin / positions;
      const uint64_t rows = (piece.slice.end - piece.slice.begin) / positions;
      const uint64_t each = (rows + kColumnBlocks - 1) / kColumnBlocks;
      const uint64_t blocks = (rows + each - 1) / each;
      std::vector<double> want(blocks * count * positions);
      for (uint64_t b = 0; b < blocks; b++) {
        kernel_.reduce_columns(job_, scratch_, first + b * each, std::min(first + rows, first + (b + 1) * each),
                               want.data() + b * count * positions);
      }
      Memory& sums = room(piece, want.size() * 8);
      must(lane_.reduce_columns(number_, job_, piece.slice, each, sums.as<double>()));
      compare_numbers("sums of positions", want.data(), sums, sums.read(), want.size());
      for (uint64_t group = 0; group < positions; group++) {
        for (size_t s = 0; s < count; s++) {
          job_.sums[group * count + s] += sum_tree(want.data() + s * positions + group, blocks, count * positions);
        }
      }
    }
  }

  /// Coefficients of the groups that a piece touches.
  void write_groups(Piece& piece) {
    const uint64_t numbers = job_.solved.size() / job_.groups();
    const uint64_t first = job_.grouping == Grouping::columns ? 0 : piece.slice.begin / job_.columns;
    const uint64_t groups =
        job_.grouping == Grouping::columns ? job_.groups() : (piece.slice.end - piece.slice.begin) / job_.columns;
    Memory& table = room(piece, groups * numbers * 8);
    table.write(job_.solved.data() + first * numbers, groups * numbers * 8);
    piece.slice.groups = table.as<double>();
  }

  void check_map() {
    const size_t width = element_size(job_.out);
    uint64_t want_bad = 0;
    uint64_t got_bad = 0;
    for (Piece& piece : pieces_) {
      if (job_.grouping != Grouping::whole && job_.table.empty()) write_groups(piece);
      const uint64_t count = piece.slice.end - piece.slice.begin;
      std::vector<std::byte> want(count * width);
      // The CPU's functions take ranges that begin at a multiple of kSumBlock, as the engine gives them.
      map_on_cpu(piece.slice.begin, piece.slice.end, want.data(), want_bad);
      Memory& out = room(piece, count * width);
      Memory& bad = room(piece, 8);
      must(lane_.clear(bad.at(), 8));
      must(lane_.map(number_, job_, piece.slice, out.at(), bad.as<uint64_t>()));
      compare_bytes("output", want.data(), out, out.read(), count, width);
      uint64_t found = 0;
      std::memcpy(&found, bad.read(), 8);
      got_bad |= found;
    }
    if (want_bad != got_bad) complain("the inputs that hold a NaN or an infinity are not those");
  }

  /// What `--timing` runs as a whole gives the same output, from its own selections and sums.
  void check_whole() {
    if (job_.grouping != Grouping::whole || job_.wide || job_.round > 0 || !job_.table.empty()) return;
    const size_t width = element_size(job_.out);
    std::vector<std::byte> want(job_.count * width);
    uint64_t bad = 0;
    map_on_cpu(0, job_.count, want.data(), bad);
    std::vector<std::unique_ptr<Memory>> memories;
    std::vector<const void*> inputs;
    for (int k = 0; k < job_.inputs; k++) {
      const uint64_t bytes = job_.count * element_size(job_.input[k].dtype);
      memories.push_back(std::make_unique<Memory>(device_, lane_, bytes));
      memories.back()->write(job_.input[k].data, bytes);
      inputs.push_back(memories.back()->at());
    }
    Memory out(device_, lane_, want.size());
    WholeOp(device_, lane_, kernel_, job_).run(inputs, out.at());
    compare_bytes("output of the whole op", want.data(), out, out.read(), job_.count, width);
  }

  void map_on_cpu(uint64_t begin, uint64_t end, std::byte* out, uint64_t& bad) {
    // Chunks of random numbers and masks start at multiples of 1024: what lies before the slice is computed as well.
    const uint64_t first = begin / kSumBlock * kSumBlock;
    const size_t width = element_size(job_.out);
    std::vector<std::byte> all((end - first) * width);
    uint64_t found = 0;
    kernel_.map(job_, scratch_, first, end, all.data(), found);
    std::memcpy(out, all.data() + (begin - first) * width, (end - begin) * width);
    bad |= found;
  }

  Device& device_;
  DeviceLane& lane_;
  const Kernel& kernel_;
  Job& job_;
  const int number_;
  Scratch scratch_;
  std::vector<Piece> pieces_;
  std::vector<std::string> problems_;
};

}  // namespace

std::vector<std::string> check_case(Device& device, DeviceLane& lane, Case& made, int pieces) {
  return CaseCheck(device, lane, made, pieces).run();
}

}  // namespace sinter::cuda
