// Checks the device's kernels against the CPU's, bit for bit, then measures them. Needs nothing but a device: no Bun, no
// files, no network. See bench/gpu.sh. Exit code 1 where something differs, 2 where there is no device.

#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "../../cpu/dispatch.h"
#include "passes.h"
#include "timing.h"

extern "C" const sinter::DeviceLibrary* sinter_devices();

namespace sinter::cuda {
namespace {

constexpr const char* kUsage =
    "check-cuda [options]\n"
    "  --device N      which device (0)\n"
    "  --seed N        of the inputs (from the clock, and printed)\n"
    "  --seconds N     stop starting cases after this (300)\n"
    "  --every N       of further cases of a kernel and dtypes only every N-th: for emulation and sanitizers (1)\n"
    "  --small         only small shapes\n"
    "  --only KERNEL   only cases of this kernel\n"
    "  --timing        measure as well, --timing-only: and nothing else\n"
    "  --list          print the cases and go\n";

struct Options {
  int device = 0;
  uint64_t seed = 0;
  double seconds = 300;
  uint64_t every = 1;
  bool small = false;
  bool cases = true;
  bool timing = false;
  bool list = false;
  std::string only;
};

Options read_options(int argc, char** argv) {
  Options options;
  options.seed = static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()) % 1000000;
  for (int i = 1; i < argc; i++) {
    const std::string name = argv[i];
    const auto number = [&] { return i + 1 < argc ? std::strtoull(argv[++i], nullptr, 10) : 0; };
    if (name == "--device") {
      options.device = static_cast<int>(number());
    } else if (name == "--seed") {
      options.seed = number();
    } else if (name == "--seconds") {
      options.seconds = static_cast<double>(number());
    } else if (name == "--every") {
      options.every = std::max<uint64_t>(1, number());
    } else if (name == "--small") {
      options.small = true;
    } else if (name == "--only" && i + 1 < argc) {
      options.only = argv[++i];
    } else if (name == "--timing" || name == "--timing-only") {
      options.timing = true;
      options.cases = name == "--timing";
    } else if (name == "--list") {
      options.list = true;
    } else {
      std::fputs(kUsage, name == "--help" ? stdout : stderr);
      std::exit(name == "--help" ? 0 : 2);
    }
  }
  return options;
}

/// @returns how many cases differ; 1 where there are none.
int check_cases(Device& device, DeviceLane& lane, const Options& options) {
  const auto begun = std::chrono::steady_clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count(); };
  int passed = 0;
  int failed = 0;
  bool stopped = false;
  uint64_t number = 0;
  // Of kernels with dtypes.
  int pairs = 0;
  int pairs_checked = 0;
  for (const CaseSpec& spec : list_cases(best_kernels(), options.seed, !options.small)) {
    if (!options.only.empty() && options.only != spec.kernel->name) continue;
    const bool is_further = spec.tier > 1;
    pairs += is_further ? 0 : 1;
    if (number++ % options.every != 0 && is_further) continue;
    stopped = stopped || seconds() > options.seconds;
    if (stopped) continue;
    pairs_checked += is_further ? 0 : 1;
    Case made = make_case(spec);
    const std::vector<std::string> problems = check_case(device, lane, made, 1 + static_cast<int>(number % 3));
    problems.empty() ? passed++ : failed++;
    for (const std::string& problem : problems) std::printf("%s: %s\n", made.name.c_str(), problem.c_str());
  }
  std::printf("%d of %d kernels with dtypes were checked%s\n", pairs_checked, pairs,
              stopped ? ": the time was up" : "");
  std::printf("cases on the device against %s: %d passed, %d failed, in %.0f s\n", best_kernels().target, passed,
              failed, seconds());
  if (passed + failed == 0) std::fprintf(stderr, "nothing was checked\n");
  return passed + failed == 0 ? 1 : failed;
}

int run(const Options& options) {
  if (options.list) {
    for (const CaseSpec& spec : list_cases(best_kernels(), options.seed, !options.small)) {
      std::printf("%s, %d inputs, dtypes %d, numbers %d, %" PRIu64 " x %" PRIu64 ", %s\n", spec.kernel->name,
                  spec.inputs, spec.dtypes, spec.variant, spec.shape.rows, spec.shape.columns,
                  kContentNames[static_cast<int>(spec.content)]);
    }
    return 0;
  }
  const DeviceLibrary& library = *sinter_devices();
  Device* const device = library.count > options.device ? library.open(options.device) : nullptr;
  if (device == nullptr) {
    std::fprintf(stderr, "no device: %s\n", library.absence);
    return 2;
  }
  DeviceFacts facts;
  must(device->facts(facts));
  std::printf("%s, compute capability %d.%d, %.1f GiB; driver for CUDA %d.%d, built with %d.%d; seed %" PRIu64 "\n",
              facts.name, facts.major, facts.minor, static_cast<double>(facts.memory) / (1 << 30), facts.driver / 1000,
              facts.driver % 1000 / 10, facts.runtime / 1000, facts.runtime % 1000 / 10, options.seed);
  DeviceLane* lane = nullptr;
  must(device->create_lane(&lane));
  const int failed = options.cases ? check_cases(*device, *lane, options) : 0;
  if (options.timing) measure_kernels(*device, *lane);
  device->release(lane);
  return failed > 0 ? 1 : 0;
}

}  // namespace
}  // namespace sinter::cuda

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  return sinter::cuda::run(sinter::cuda::read_options(argc, argv));
}
