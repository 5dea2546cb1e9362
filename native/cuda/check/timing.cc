#include "timing.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>

#include "../../cpu/dispatch.h"
#include "../../methods/task-vector.h"
#include "../../numeric/convert.h"
#include "whole-op.h"

namespace sinter::cuda {
namespace {

/// One op's tensor: 8192 rows of 4096 elements, 64 MiB in bfloat16.
constexpr uint64_t kRows = 8192;
constexpr uint64_t kColumns = 4096;
constexpr uint64_t kElements = kRows * kColumns;
/// Sets of inputs that take turns: together several times any L2 cache.
constexpr int kSets = 4;
constexpr int kMostModels = 4;
constexpr int kRuns = 21;

/// Of the device's own copy bandwidth, in percent: what passes are to reach. 0: nothing is set out.
constexpr int kMemoryBound = 85;
constexpr int kSelection = 35;
constexpr int kRanks = 10;
constexpr int kNoTarget = 0;

/// Tensors like those of real fine-tunes: normal numbers, and the same with a small change, in bfloat16. Made of a
/// table, since 33 million normal numbers take a while.
std::vector<uint16_t> make_tensor(uint64_t seed, bool tuned) {
  std::vector<uint16_t> elements(kElements);
  uint64_t state = 12345;
  uint64_t change = seed * 0x9E3779B97F4A7C15ull + 1;
  const auto next = [](uint64_t& s) {
    s ^= s << 13;
    s ^= s >> 7;
    s ^= s << 17;
    return s;
  };
  const auto bell = [&](uint64_t& s) {
    const uint64_t bits = next(s);
    double sum = -2.0;
    for (int i = 0; i < 4; i++) sum += static_cast<double>(bits >> (16 * i) & 0xFFFF) / 65536.0;
    return 1.73 * sum;
  };
  for (uint16_t& element : elements) {
    const float base = BF16::widen(BF16::narrow(static_cast<float>(0.02 * bell(state))));
    element = BF16::narrow(tuned ? base + static_cast<float>(3e-4 * bell(change)) : base);
  }
  return elements;
}

class Bench {
 public:
  Bench(Device& device, DeviceLane& lane) : device_(device), lane_(lane) {
    stream_ = static_cast<cudaStream_t>(lane.stream(Queue::compute));
    must(cudaEventCreateWithFlags(&begin_, cudaEventDefault));
    must(cudaEventCreateWithFlags(&end_, cudaEventDefault));
    for (int set = 0; set < kSets; set++) {
      for (int k = 0; k < kMostModels; k++) {
        if (set == 0) host_.push_back(make_tensor(static_cast<uint64_t>(k), k > 0));
        inputs_.push_back(std::make_unique<Memory>(device, lane, kElements * 2));
        inputs_.back()->write(host_[static_cast<size_t>(k)].data(), kElements * 2);
      }
      outputs_.push_back(std::make_unique<Memory>(device, lane, kElements * 2));
    }
  }

  ~Bench() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
  }

  void run() {
    std::printf("\n%-36s %8s %9s %9s   of copy   wanted\n", "kernel", "ms", "GB/s", "elem/ns");
    copy_ = measure("copy, device to device", 2 * 2 * kElements, kNoTarget, [&](int set) {
      must(cudaMemcpyAsync(outputs_[static_cast<size_t>(set)]->at(), input(set, 0), kElements * 2,
                           cudaMemcpyDeviceToDevice, stream_));
    });
    maps();
    reductions();
    selections();
    della();
    measure_case("arcee_fusion, divergences", "arcee_fusion", 2, {}, 2 * 2 * kElements, kNoTarget,
                 [&](int number, const Job& job, const Slice& slice, int) {
                   must(lane_.measure_rows(number, job, slice, scratch(kRows * 8)));
                 });
    std::printf("%d of %d rows reach what is wanted of them\n", reached_, wanted_);
    std::printf("\n%-36s %8s\n", "whole ops, inputs resident", "ms");
    whole("ties, 3 models: whole", "ties", 4, {1, 1, 0, 0.5, kElements / 2, 0.3, kElements / 2, 0.2, kElements / 2});
    whole("della, 2 models: whole", "della", 3, {1, 1, 1, 0.5, 0.5, 0.1, 0.3, 0.5, 0.1});
  }

 private:
  using Pass = std::function<void(int number, const Job& job, const Slice& slice, int set)>;

  void* input(int set, int k) const { return inputs_[static_cast<size_t>(set * kMostModels + k)]->at(); }

  /// Device memory that stays as it is from one call to the next with the same size.
  template <class T = double>
  T* scratch(uint64_t bytes, size_t which = 0) {
    if (scratch_.size() <= which) scratch_.resize(which + 1);
    if (scratch_[which] == nullptr || scratch_[which]->bytes() < bytes) {
      scratch_[which] = std::make_unique<Memory>(device_, lane_, bytes);
    }
    return scratch_[which]->template as<T>();
  }

  /// The median, in GB/s. `wanted`: percent of the copies'.
  double measure(const char* name, uint64_t bytes, int wanted, const std::function<void(int)>& queue) {
    std::vector<float> times;
    for (int run = 0; run < kRuns + 3; run++) {
      // The device is busy until all is queued, so that it never waits for the host between the events.
      for (int set = 0; set < kSets; set++) {
        must(cudaMemcpyAsync(outputs_[static_cast<size_t>(set)]->at(), input(set, 0), kElements * 2,
                             cudaMemcpyDeviceToDevice, stream_));
      }
      must(cudaEventRecord(begin_, stream_));
      for (int set = 0; set < kSets; set++) queue(set);
      must(cudaEventRecord(end_, stream_));
      must(cudaEventSynchronize(end_));
      float ms = 0;
      must(cudaEventElapsedTime(&ms, begin_, end_));
      if (run >= 3) times.push_back(ms);
    }
    std::nth_element(times.begin(), times.begin() + kRuns / 2, times.end());
    const double ms = static_cast<double>(times[kRuns / 2]) / kSets;
    const double speed = static_cast<double>(bytes) / ms / 1e6;
    std::printf("%-36s %8.4f %9.1f %9.2f", name, ms, speed, static_cast<double>(kElements) / ms / 1e6);
    if (copy_ > 0) std::printf("   %5.1f %%", 100 * speed / copy_);
    if (copy_ > 0 && wanted != kNoTarget) {
      const bool reached = 100 * speed >= wanted * copy_;
      std::printf("   %3d %%%s", wanted, reached ? "" : "  BELOW");
      wanted_++;
      reached_ += reached ? 1 : 0;
    }
    std::printf("\n");
    return speed;
  }

  Job job_of(int inputs, const std::vector<double>& params) const {
    Job job;
    job.inputs = inputs;
    for (int k = 0; k < inputs; k++) {
      job.input[k].dtype = Dtype::BF16;
      job.input[k].stream = static_cast<uint32_t>(k);
    }
    job.rows = kRows;
    job.columns = kColumns;
    job.count = job.input_count = kElements;
    job.out = Dtype::BF16;
    job.params = params;
    job.key = 42;
    job.solved.assign(kMaxInputs, 0.5);
    job.thresholds.assign(kMaxInputs, {0x3A000000, 1 << 20});
    return job;
  }

  void measure_case(const char* name, const char* kernel, int inputs, const std::vector<double>& params, uint64_t bytes,
                    int wanted, const Pass& pass) {
    const int number = device_.find(kernel);
    const Job job = job_of(inputs, params);
    measure(name, bytes, wanted, [&](int set) {
      Slice slice;
      slice.end = kElements;
      for (int k = 0; k < inputs; k++) slice.input[k] = input(set, k);
      for (int k = 1; k < inputs && !masks_.empty(); k++) slice.masks[k] = masks_[static_cast<size_t>(k - 1)];
      pass(number, job, slice, set);
    });
  }

  void map(const char* name, const char* kernel, int inputs, const std::vector<double>& params, double masks = 0) {
    const auto bytes = static_cast<uint64_t>((2.0 * (inputs + 1) + masks / 8) * static_cast<double>(kElements));
    measure_case(name, kernel, inputs, params, bytes, kMemoryBound,
                 [&](int number, const Job& job, const Slice& slice, int set) {
                   must(lane_.map(number, job, slice, outputs_[static_cast<size_t>(set)]->at(), scratch<uint64_t>(8)));
                 });
  }

  void maps() {
    map("linear, 3: map", "linear", 3, {0.2, 0.3, 0.5});
    map("slerp: map", "slerp", 2, {0.5});
    map("task_arithmetic, 3 models: map", "task_arithmetic", 4, {1, 1, 0, 0.5, 0, 0.3, 0, 0.2, 0});
    map("ties, 3 models: map", "ties", 4, {1, 1, 0, 0.5, 1e6, 0.3, 1e6, 0.2, 1e6});
    map("dare_ties, 2 models: map", "dare_ties", 3, {1, 1, 0, 0.5, 0.5, 0.3, 0.5});
    map("breadcrumbs_ties, 2 models: map", "breadcrumbs_ties", 3, {1, 1, 0, 0.5, 1e6, 1e7, 0.3, 1e6, 1e7});
    map("dare_ties, 3 models: map", "dare_ties", 4, {1, 1, 0, 0.5, 0.5, 0.3, 0.5, 0.2, 0.5});
    map("dare_linear, 2 models: map", "dare_linear", 3, {1, 0, 0, 0.5, 0.5, 0.3, 0.5});
    map("nearswap: map", "nearswap", 2, {1e-4});
    map("sce, 2 models: map", "sce", 3, {0.5});
    map("ram, 2 models: map", "ram", 3, {1e-5});
    map("karcher, 3: map", "karcher", 3, {10, 1e-5});
  }

  void reduce(const char* name, const char* kernel, int inputs, const std::vector<double>& params,
              Grouping grouping = Grouping::whole) {
    measure_case(name, kernel, inputs, params, 2 * static_cast<uint64_t>(inputs) * kElements, kMemoryBound,
                 [&](int number, const Job& job, const Slice& slice, int) {
                   Job own;
                   own = job_of(inputs, params);
                   own.grouping = grouping;
                   own.id = job.id;
                   if (grouping == Grouping::columns) {
                     must(lane_.reduce_columns(number, own, slice, kRows / 64, scratch(64 * kColumns * 64)));
                   } else {
                     must(lane_.reduce(number, own, slice, scratch(kRows * 64 * 8)));
                   }
                 });
  }

  void reductions() {
    reduce("slerp: sums", "slerp", 2, {0.5});
    reduce("karcher, 3: sums", "karcher", 3, {10, 1e-5});
    reduce("model_stock, 3 models: sums", "model_stock", 4, {0});
    reduce("model_stock, 3 models: rows", "model_stock", 4, {1}, Grouping::rows);
    reduce("nuslerp: columns", "nuslerp", 2, {0.5, 2}, Grouping::columns);
    reduce("dare_ties, 2 models: sums", "dare_ties", 3, {1, 1, 1, 0.5, 0.5, 0.3, 0.5});
    reduce("dare_ties, 3 models: sums", "dare_ties", 4, {1, 1, 1, 0.5, 0.5, 0.3, 0.5, 0.2, 0.5});
    reduce("sce, 2 models: sums", "sce", 3, {0.5});
    reduce("ramplus_tl, 2 models: sums", "ramplus_tl", 3, {1e-5, 0.1, 0.2});
  }

  /// ties as it runs: one count of all models' magnitudes, then the map.
  void selections() {
    constexpr uint64_t tasks = kElements / kTaskElements;
    constexpr uint64_t room = 4096;
    const std::vector<double> params{1, 1, 0, 0.5, 1e6, 0.3, 1e6, 0.2, 1e6};
    const auto count = [&](int number, const Job& job, const Slice& slice) {
      TallyRequest requests[3];
      for (int m = 0; m < 3; m++) {
        requests[m] = {{m + 1, kElements / 2},
                       0x39800000,
                       0x39900000,
                       room,
                       scratch<DeviceTally>(tasks * sizeof(DeviceTally), 1 + static_cast<size_t>(m)),
                       scratch<uint32_t>(tasks * room * 4, 4 + static_cast<size_t>(m))};
      }
      must(lane_.tally(number, job, slice, requests, 3));
    };
    measure_case("ties, 3 models: count", "ties", 4, params, 2 * 4 * kElements, kSelection,
                 [&](int number, const Job& job, const Slice& slice, int) { count(number, job, slice); });
    measure_case("ties, 3 models: count and map", "ties", 4, params, 2 * (4 + 5) * kElements, kSelection,
                 [&](int number, const Job& job, const Slice& slice, int set) {
                   count(number, job, slice);
                   must(lane_.map(number, job, slice, outputs_[static_cast<size_t>(set)]->at(), scratch<uint64_t>(8)));
                 });
  }

  void della() {
    const std::vector<double> params{1, 1, 0, 0.5, 0.5, 0.1, 0.3, 0.5, 0.1};
    std::vector<uint32_t> limits(kColumns);
    for (uint64_t rank = 0; rank < kColumns; rank++) limits[rank] = ranked_limit(0.5, 0.1, rank, kColumns);
    Memory table(device_, lane_, kColumns * 4);
    table.write(limits.data(), kColumns * 4);
    std::vector<std::unique_ptr<Memory>> masks;
    for (int i = 0; i < 2; i++) masks.push_back(std::make_unique<Memory>(device_, lane_, kElements / 8));
    measure_case("della, 1 model: ranks", "della", 3, params, 2 * 2 * kElements + kElements / 8, kRanks,
                 [&](int number, const Job& job, const Slice& slice, int set) {
                   const int model = set % 2;
                   must(lane_.rank(number, job, slice, 1 + model, table.as<uint32_t>(),
                                   masks[static_cast<size_t>(model)]->as<uint64_t>()));
                 });
    for (const std::unique_ptr<Memory>& mask : masks) masks_.push_back(mask->as<uint64_t>());
    map("della, 2 models: map", "della", 3, params, 2);
    masks_.clear();
    whole_della(table.as<uint32_t>());
  }

  /// della as it runs: ranks of both models, the sums that `rescale` asks for, the map.
  void whole_della(const uint32_t* limits) {
    Memory first(device_, lane_, kElements / 8);
    Memory second(device_, lane_, kElements / 8);
    uint64_t* const masks[] = {first.as<uint64_t>(), second.as<uint64_t>()};
    const uint64_t bytes = 2 * (2 * 2 + 3 + 4) * kElements + 3 * 2 * kElements / 8;
    measure_case("della, 2 models: ranks, sums and map", "della", 3, {1, 1, 1, 0.5, 0.5, 0.1, 0.3, 0.5, 0.1}, bytes,
                 kNoTarget, [&](int number, const Job& job, const Slice& slice, int set) {
                   Slice ranked = slice;
                   for (int m = 0; m < 2; m++) {
                     must(lane_.rank(number, job, slice, m + 1, limits, masks[m]));
                     ranked.masks[m + 1] = masks[m];
                   }
                   must(lane_.reduce(number, job, ranked, scratch(kRows * 64 * 8)));
                   must(lane_.map(number, job, ranked, outputs_[static_cast<size_t>(set)]->at(), scratch<uint64_t>(8)));
                 });
  }

  /// One op after the other, by the host's clock: what the host decides between passes counts, and so do its waits.
  void whole(const char* name, const char* kernel, int inputs, const std::vector<double>& params) {
    const KernelSet& kernels = best_kernels();
    const Kernel* const found = std::find_if(kernels.kernels, kernels.kernels + kernels.count,
                                             [&](const Kernel& one) { return std::strcmp(one.name, kernel) == 0; });
    Job job = job_of(inputs, params);
    job.solved.clear();
    job.thresholds.clear();
    for (int k = 0; k < inputs; k++) {
      job.input[k].data = reinterpret_cast<const std::byte*>(host_[static_cast<size_t>(k)].data());
    }
    WholeOp op(device_, lane_, *found, job);
    std::vector<double> times;
    for (int run = 0; run < kRuns + 3; run++) {
      const auto begun = std::chrono::steady_clock::now();
      for (int set = 0; set < kSets; set++) {
        std::vector<const void*> all;
        for (int k = 0; k < inputs; k++) all.push_back(input(set, k));
        op.run(all, outputs_[static_cast<size_t>(set)]->at());
      }
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begun;
      if (run >= 3) times.push_back(1000 * taken.count() / kSets);
    }
    std::nth_element(times.begin(), times.begin() + kRuns / 2, times.end());
    std::printf("%-36s %8.4f\n", name, times[kRuns / 2]);
  }

  Device& device_;
  DeviceLane& lane_;
  cudaStream_t stream_;
  cudaEvent_t begin_, end_;
  /// Of each input what its sets hold.
  std::vector<std::vector<uint16_t>> host_;
  std::vector<std::unique_ptr<Memory>> inputs_;
  std::vector<std::unique_ptr<Memory>> outputs_;
  std::vector<std::unique_ptr<Memory>> scratch_;
  std::vector<const uint64_t*> masks_;
  double copy_ = 0;
  int wanted_ = 0;
  int reached_ = 0;
};

}  // namespace

void measure_kernels(Device& device, DeviceLane& lane) { Bench(device, lane).run(); }

}  // namespace sinter::cuda
