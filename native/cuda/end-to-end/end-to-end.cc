// Merges files on a device, from the page cache to the written output, beside what no merge can beat: its bytes at the rate
// of pinned transfers, and its files read and written without computing anything. Needs no Bun and no network. See
// bench/gpu.sh. Exit code 1 where an output differs from the CPU's.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "../../device/measure.h"
#include "../../device/pipeline.h"
#include "../../numeric/convert.h"

extern "C" const sinter::DeviceLibrary* sinter_devices();

namespace sinter::cuda {
namespace {

constexpr const char* kUsage =
    "end-to-end-cuda [options]\n"
    "  --folder DIR    where 20 GB of files fit (a new one in the working directory)\n"
    "  --device N      which device (0)\n"
    "  --layers N      of the models (8)\n"
    "  --hidden N      their width (4096, that of 7B models)\n"
    "  --threads N     (one per CPU)\n"
    "  --runs N        of which the median counts (3)\n"
    "  --seed N        of the models (from the clock, and printed)\n";

struct Options {
  std::string folder = "end-to-end.tmp";
  int device = 0;
  uint64_t layers = 8;
  uint64_t hidden = 4096;
  unsigned threads = 0;
  int runs = 3;
  uint64_t seed = 0;
};

Options read_options(int argc, char** argv) {
  Options options;
  options.seed = static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()) % 1000000;
  for (int i = 1; i < argc; i++) {
    const std::string name = argv[i];
    const bool more = i + 1 < argc;
    const auto number = [&] { return std::strtoull(argv[++i], nullptr, 10); };
    if (name == "--folder" && more) {
      options.folder = argv[++i];
    } else if (name == "--device" && more) {
      options.device = static_cast<int>(number());
    } else if (name == "--layers" && more) {
      options.layers = number();
    } else if (name == "--hidden" && more) {
      options.hidden = std::max<uint64_t>(64, number());
    } else if (name == "--threads" && more) {
      options.threads = static_cast<unsigned>(number());
    } else if (name == "--runs" && more) {
      options.runs = std::max(1, static_cast<int>(number()));
    } else if (name == "--seed" && more) {
      options.seed = number();
    } else {
      std::fputs(kUsage, name == "--help" ? stdout : stderr);
      std::exit(name == "--help" ? 0 : 2);
    }
  }
  if (options.threads == 0) options.threads = std::max(1u, std::thread::hardware_concurrency());
  return options;
}

struct Tensor {
  uint64_t rows, columns;
  /// In elements, in each file.
  uint64_t begin;
  uint64_t count() const { return rows * columns; }
};

/// A llama model's, with the proportions of its 7B.
std::vector<Tensor> tensors_of(const Options& options) {
  const uint64_t hidden = options.hidden;
  const uint64_t wide = hidden * 11008 / 4096;
  const uint64_t vocabulary = hidden * 32000 / 4096;
  std::vector<Tensor> tensors;
  uint64_t at = 0;
  const auto add = [&](uint64_t rows, uint64_t columns) {
    tensors.push_back({rows, columns, at});
    at += rows * columns;
  };
  add(vocabulary, hidden);
  for (uint64_t layer = 0; layer < options.layers; layer++) {
    for (int i = 0; i < 4; i++) add(hidden, hidden);
    add(wide, hidden);
    add(wide, hidden);
    add(hidden, wide);
    add(1, hidden);
    add(1, hidden);
  }
  add(1, hidden);
  add(vocabulary, hidden);
  return tensors;
}

/// Of the floor, which no merge can beat: what one is to take at most.
constexpr double kWantedOfFloor = 1.3;

constexpr int kModels = 3;
constexpr uint64_t kWidth = 2;
constexpr uint64_t kBlock = 8 << 20;

/// `work(i)` for each i below `count`, by all threads.
void share(unsigned threads, uint64_t count, const std::function<void(uint64_t)>& work) {
  std::atomic<uint64_t> next{0};
  std::vector<std::thread> workers;
  for (unsigned t = 0; t < threads; t++) {
    workers.emplace_back([&] {
      for (uint64_t i = next++; i < count; i = next++) work(i);
    });
  }
  for (std::thread& worker : workers) worker.join();
}

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(2);
}

/// Bytes of a model in bfloat16: of normal numbers a table, over and over; of the others the same with a small change.
std::vector<uint16_t> table_of(uint64_t seed, int model) {
  constexpr uint64_t kTable = 4 << 20;
  std::vector<uint16_t> table(kTable);
  uint64_t state = 88172645463325252ull ^ seed;
  uint64_t change = 6364136223846793005ull * (seed + static_cast<uint64_t>(model + 1));
  const auto bell = [](uint64_t& s) {
    s ^= s << 13;
    s ^= s >> 7;
    s ^= s << 17;
    double sum = -2.0;
    for (int i = 0; i < 4; i++) sum += static_cast<double>(s >> (16 * i) & 0xFFFF) / 65536.0;
    return 1.73 * sum;
  };
  for (uint16_t& element : table) {
    const float base = BF16::widen(BF16::narrow(static_cast<float>(0.02 * bell(state))));
    element = BF16::narrow(model == 0 ? base : base + static_cast<float>(3e-4 * bell(change)));
  }
  return table;
}

class Files {
 public:
  Files(const Options& options, uint64_t bytes) : folder_(options.folder), threads_(options.threads), bytes_(bytes) {
    if (mkdir(folder_.c_str(), 0777) != 0) fail(folder_ + " cannot be made");
    for (int k = 0; k < kModels; k++) write(options.seed, k);
    // So that the kernel does not write them back while something is measured.
    sync();
  }
  ~Files() {
    for (int k = 0; k < kModels; k++) unlink(path(k).c_str());
    unlink(output().c_str());
    unlink(kept().c_str());
    rmdir(folder_.c_str());
  }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;

  std::string path(int k) const { return folder_ + "/model-" + std::to_string(k); }
  std::string output() const { return folder_ + "/merged"; }
  uint64_t bytes() const { return bytes_; }

  /// Puts the output aside, for `equals_kept`.
  void keep() const {
    if (rename(output().c_str(), kept().c_str()) != 0) fail("the output cannot be renamed");
  }
  /// Whether the output is byte for byte the one that was kept.
  bool equals_kept() const {
    const int files[] = {open(output().c_str(), O_RDONLY | O_CLOEXEC), open(kept().c_str(), O_RDONLY | O_CLOEXEC)};
    std::atomic<bool> equal{true};
    share(threads_, (bytes_ + kBlock - 1) / kBlock, [&](uint64_t i) {
      const uint64_t count = std::min(kBlock, bytes_ - i * kBlock);
      std::vector<std::byte> blocks[2];
      for (int file = 0; file < 2; file++) {
        blocks[file].resize(count);
        const ssize_t got = pread(files[file], blocks[file].data(), count, static_cast<off_t>(i * kBlock));
        if (got != static_cast<ssize_t>(count)) equal = false;
      }
      if (blocks[0] != blocks[1]) equal = false;
    });
    for (const int file : files) close(file);
    return equal;
  }

  /// Seconds to read all models and to write as much as one of them.
  double copy() const {
    std::vector<int> inputs;
    for (int k = 0; k < kModels; k++) inputs.push_back(open(path(k).c_str(), O_RDONLY | O_CLOEXEC));
    unlink(output().c_str());
    const auto begun = std::chrono::steady_clock::now();
    const std::shared_ptr<Sink> sink = Sink::create(output(), bytes_, false);
    share(threads_, (bytes_ + kBlock - 1) / kBlock, [&](uint64_t i) {
      static thread_local std::vector<std::byte> room(kBlock);
      const uint64_t count = std::min(kBlock, bytes_ - i * kBlock);
      for (const int input : inputs) {
        if (pread(input, room.data(), count, static_cast<off_t>(i * kBlock)) != static_cast<ssize_t>(count)) {
          fail("a model cannot be read");
        }
      }
      sink->write(i * kBlock, room.data(), count);
    });
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begun;
    for (const int input : inputs) close(input);
    return taken.count();
  }

 private:
  std::string kept() const { return folder_ + "/merged-before"; }

  void write(uint64_t seed, int k) const {
    const std::vector<uint16_t> table = table_of(seed, k);
    const auto* const bytes = reinterpret_cast<const std::byte*>(table.data());
    const uint64_t size = table.size() * kWidth;
    const std::shared_ptr<Sink> sink = Sink::create(path(k), bytes_, false);
    share(threads_, (bytes_ + size - 1) / size,
          [&](uint64_t i) { sink->write(i * size, bytes, std::min(size, bytes_ - i * size)); });
  }

  const std::string folder_;
  const unsigned threads_;
  const uint64_t bytes_;
};

struct Method {
  const char* kernel;
  std::vector<double> (*params)(uint64_t count);
};

/// lambda, normalize, rescale; then each model's weight with density, as native/methods says.
const Method kMethods[] = {
    {"ties",
     [](uint64_t count) {
       const double kept = static_cast<double>(count / 2);
       return std::vector<double>{1, 1, 0, 0.5, kept, 0.5, kept};
     }},
    {"dare_ties", [](uint64_t) { return std::vector<double>{1, 1, 1, 0.5, 0.5, 0.5, 0.5}; }},
    {"della", [](uint64_t) { return std::vector<double>{1, 1, 1, 0.5, 0.5, 0.1, 0.5, 0.5, 0.1}; }},
};

struct Outcome {
  double seconds;
  std::vector<Digest> checksums;
  uint64_t direct_bytes = 0;
  /// Ops that a device did.
  int on_device = 0;
};

/// The whole merge, from opening its files to the last byte's write.
Outcome merge(const Files& files, const std::vector<Tensor>& tensors, const Method& method, Engine& engine,
              Pipeline* pipeline) {
  unlink(files.output().c_str());
  const auto begun = std::chrono::steady_clock::now();
  std::vector<std::shared_ptr<Source>> sources;
  for (int k = 0; k < kModels; k++) sources.push_back(Source::open(files.path(k)));
  const std::shared_ptr<Sink> sink = Sink::create(files.output(), files.bytes(), false);
  std::mutex mutex;
  std::condition_variable ended;
  size_t left = tensors.size();
  std::vector<std::shared_ptr<Op>> ops;
  for (const Tensor& tensor : tensors) {
    auto op = std::make_shared<Op>();
    Job& job = op->job;
    op->kernel_name = method.kernel;
    job.inputs = kModels;
    job.count = job.input_count = tensor.count();
    job.rows = tensor.rows;
    job.columns = tensor.columns;
    job.out = Dtype::BF16;
    job.params = method.params(tensor.count());
    job.key = tensor.begin + 1;
    for (int k = 0; k < kModels; k++) {
      job.input[k] = {sources[static_cast<size_t>(k)]->data() + tensor.begin * kWidth, Dtype::BF16,
                      static_cast<uint32_t>(k)};
      op->sources.push_back(sources[static_cast<size_t>(k)]);
    }
    op->sink = sink;
    op->sink_offset = tensor.begin * kWidth;
    op->wants_device = pipeline != nullptr;
    op->done = [&](Op&) {
      const std::lock_guard lock(mutex);
      if (--left == 0) ended.notify_all();
    };
    ops.push_back(op);
    op->reads_ahead = pipeline == nullptr || pipeline->is_read_ahead(*op);
    engine.admit(*op);
    pipeline == nullptr ? engine.enqueue(op) : pipeline->submit(op);
  }
  {
    std::unique_lock lock(mutex);
    ended.wait(lock, [&] { return left == 0; });
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begun;
  Outcome outcome{taken.count(), {}};
  for (const std::shared_ptr<Op>& op : ops) {
    if (op->failure) fail(std::string(method.kernel) + ": " + op->failure->what());
    outcome.checksums.push_back(op->checksum);
    outcome.direct_bytes += op->direct_bytes;
    outcome.on_device += op->device.empty() ? 0 : 1;
  }
  return outcome;
}

double median(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

int run(const Options& options) {
  const DeviceLibrary& library = *sinter_devices();
  if (library.count <= options.device) fail(library.absence == nullptr ? "no such device" : library.absence);
  std::string reason;
  Device* const device = open_device(library, options.device, reason);
  if (device == nullptr) fail(reason);
  const std::vector<Tensor> tensors = tensors_of(options);
  const uint64_t bytes = (tensors.back().begin + tensors.back().count()) * kWidth;
  const Files files(options, bytes);
  std::printf(
      "three models of %.2f GB in bfloat16, %zu tensors, from the page cache, %u threads, medians of %d; seed %llu\n",
      static_cast<double>(bytes) * 1e-9, tensors.size(), options.threads, options.runs,
      static_cast<unsigned long long>(options.seed));

  const TransferRates rates = measure_transfers(*device);
  const double up = static_cast<double>(kModels * bytes) / rates.upload;
  const double down = static_cast<double>(bytes) / rates.download;
  std::vector<double> copies;
  for (int i = 0; i < options.runs; i++) copies.push_back(files.copy());
  const double copy = median(copies);
  const double floor = std::max({up, down, copy});
  std::printf("pinned transfers %.3f s to the device (%.1f GB/s), %.3f s back (%.1f GB/s)\n", up, rates.upload * 1e-9,
              down, rates.download * 1e-9);
  std::printf("the same files read and written %.3f s\n", copy);
  std::printf("\n%-12s %9s %9s %9s %9s %s\n", "method", "s", "x floor", "at most", "CPU s", "outputs");

  Engine engine;
  engine.configure(options.threads, "", 0);
  DeviceOptions use;
  use.devices = {options.device};
  use.strict = true;
  Pipeline pipeline(engine, library, use, options.threads);
  int failed = 0;
  for (const Method& method : kMethods) {
    // The first one takes memory and compiles what the driver compiles.
    const Outcome first = merge(files, tensors, method, engine, &pipeline);
    files.keep();
    std::vector<double> times;
    for (int i = 0; i < options.runs; i++) {
      times.push_back(merge(files, tensors, method, engine, &pipeline).seconds);
    }
    const Outcome cpu = merge(files, tensors, method, engine, nullptr);
    const bool equal = cpu.checksums == first.checksums && files.equals_kept();
    failed += equal ? 0 : 1;
    const double share = median(times) / floor;
    std::printf("%-12s %9.3f %9.2f %9.1f %9.3f %s, %d of %zu on the device, %.2f GB read directly%s\n", method.kernel,
                median(times), share, kWantedOfFloor, cpu.seconds, equal ? "the CPU's" : "DIFFER", first.on_device,
                tensors.size(), static_cast<double>(first.direct_bytes) * 1e-9,
                share <= kWantedOfFloor ? "" : "  ABOVE");
  }
  engine.stop();
  return failed > 0 ? 1 : 0;
}

}  // namespace
}  // namespace sinter::cuda

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  return sinter::cuda::run(sinter::cuda::read_options(argc, argv));
}
