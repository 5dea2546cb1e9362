#include "measure.h"

#include <chrono>
#include <cstring>
#include <vector>

#include "lane.h"

namespace sinter {
namespace {

constexpr uint64_t kBytes = 64 << 20;
constexpr int kTimes = 8;

/// `once` has run before, so that what happens the first time only is not counted.
template <class F>
double rate_of(const F& once) {
  once();
  const auto begun = std::chrono::steady_clock::now();
  for (int i = 0; i < kTimes; i++) once();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begun;
  return static_cast<double>(kBytes) * kTimes / taken.count();
}

}  // namespace

TransferRates measure_transfers(Device& device) {
  const DeviceMemory pinned = DeviceMemory::pinned(device, kBytes);
  const DeviceMemory memory = DeviceMemory::on_device(device, kBytes);
  std::memset(pinned.data(), 1, kBytes);
  const Lane lane(device);
  TransferRates rates{};
  rates.upload = rate_of([&] {
    lane.require(lane->upload(memory.data(), pinned.data(), kBytes));
    lane.reach(lane.mark(Queue::upload));
  });
  rates.download = rate_of([&] {
    lane.require(lane->download(pinned.data(), memory.data(), kBytes));
    lane.reach(lane.mark(Queue::download));
  });
  std::vector<std::byte> from(kBytes);
  std::vector<std::byte> to(kBytes);
  rates.copy = rate_of([&] { std::memcpy(to.data(), from.data(), kBytes); });
  return rates;
}

}  // namespace sinter
