// The select pass: how many magnitudes lie above, on and inside a bracket, and those inside (engine/select.h chooses the
// bracket and the threshold). Counts stay in a thread's registers, two in one of 16 bits each, until it has seen its part.
#pragma once

#include "map.h"

namespace sinter::cuda {

constexpr unsigned kTallyThreads = 256;
constexpr unsigned kTallyWarps = kTallyThreads / kWarp;
/// Elements that a block of threads counts before it adds to the tally: fewer than a counter of 16 bits holds.
constexpr uint32_t kTallyPart = 32768;
static_assert(kTaskElements % kTallyPart == 0);

/// One selection's bracket. `equal` brackets (low == high) collect nothing.
template <class Bits>
struct TallySlot {
  bool active;
  bool count_zeros;
  Bits low, high;
  uint64_t room;
  DeviceTally* tallies;
  Bits* values;
};

/// |x_m - base| of each model, with kSlots selections each.
template <class Work, int N>
struct PairMagnitudes {
  using Bits = typename BitsOf<Work>::type;
  static constexpr int kCount = N - 1;
  static constexpr int kExtra = 0;

  SINTER_DEVICE void operator()(const Work* x, Bits* bits) const {
    for (int m = 1; m < N; m++) bits[m - 1] = difference_magnitude<Work>(x[0], x[m]);
  }
};

/// One magnitude of all inputs.
template <class Function, class Work>
struct JointMagnitude {
  using Bits = typename BitsOf<Work>::type;
  static constexpr int kCount = 1;
  static constexpr int kExtra = kExtraOf<Function>;
  Function f;

  SINTER_DEVICE void operator()(const Work* x, Bits* bits) const { bits[0] = f(x); }
};

template <class Bits, int kSlots>
struct TallySlots {
  TallySlot<Bits> slot[kSlots];
};

/// A thread's counts: of values above and on the upper end, at and above the lower end.
struct Counts {
  uint32_t upper = 0;
  uint32_t lower = 0;
  uint32_t zeros = 0;

  template <class Bits>
  SINTER_DEVICE void see(const TallySlot<Bits>& slot, Bits bits) {
    upper += (bits > slot.high ? 1u : 0u) + (bits == slot.high ? 0x10000u : 0u);
    lower += (bits > slot.low ? 1u : 0u) + (bits == slot.low ? 0x10000u : 0u);
    if (slot.count_zeros) zeros += bits == 0 ? 1u : 0u;
  }
};

/// Writes the values of a warp that lie inside the bracket behind those that are there. `here`: of this lane's values,
/// which are counted.
template <class Bits, int V>
SINTER_DEVICE void collect(const TallySlot<Bits>& slot, uint32_t task, const Bits (&bits)[V], uint32_t here) {
  const uint32_t lane = threadIdx.x % kWarp;
  uint32_t wanted = 0;
  for (int e = 0; e < V; e++) {
    wanted |= (here >> e & 1) != 0 && bits[e] > slot.low && bits[e] < slot.high ? 1u << e : 0u;
  }
  if (!__any_sync(kAllLanes, wanted != 0)) return;
  const uint32_t own = static_cast<uint32_t>(__popc(wanted));
  uint32_t up_to_here = own;
  for (uint32_t step = 1; step < kWarp; step *= 2) {
    const uint32_t below = __shfl_up_sync(kAllLanes, up_to_here, step);
    if (lane >= step) up_to_here += below;
  }
  unsigned long long place = 0;
  if (lane == kWarp - 1) {
    auto* const collected = reinterpret_cast<unsigned long long*>(&slot.tallies[task].collected);
    place = atomicAdd(collected, static_cast<unsigned long long>(up_to_here));
  }
  place = __shfl_sync(kAllLanes, place, kWarp - 1) + (up_to_here - own);
  for (int e = 0; e < V; e++) {
    if ((wanted >> e & 1) == 0) continue;
    if (place < slot.room) slot.values[task * slot.room + place] = bits[e];
    place++;
  }
}

/// Magnitudes of V elements from `first` on, those of each selection's input; behind the end anything.
template <int V, class Work, int N, class Magnitudes>
SINTER_DEVICE void load_magnitudes(const Inputs<N>& in, const Magnitudes& f, const Groups& groups, uint32_t first,
                                   typename BitsOf<Work>::type (&bits)[Magnitudes::kCount][V]) {
  using Bits = typename BitsOf<Work>::type;
  constexpr bool kGrouped = Magnitudes::kExtra > 0;
  if constexpr (V > 1) {
    Stored<V> stored[N];
    const bool whole = in.aligned && first + V <= in.count;
    for (int k = 0; k < N; k++) {
      stored[k] = whole ? load_vector<V>(in.data[k], in.dtype[k], first)
                        : load_each<V>(in.data[k], in.dtype[k], first, in.count);
    }
    float wide[N][V];
    [[maybe_unused]] uint32_t zeros = 0;
    for (int k = 0; k < N; k++) widen_vector<V>(stored[k], in.dtype[k], wide[k], zeros);
    GroupWalk walk;
    if constexpr (kGrouped) walk = GroupWalk(groups.place, first);
    [[maybe_unused]] uint32_t group = UINT32_MAX;
    float x[N + Magnitudes::kExtra] = {};
    for (int e = 0; e < V; e++) {
      Bits of_model[Magnitudes::kCount];
      for (int k = 0; k < N; k++) x[k] = wide[k][e];
      if constexpr (kGrouped) {
        if (walk.group() != group && first + e < in.count) {
          group = walk.group();
          load_group(groups, Magnitudes::kExtra, group, x + N);
        }
        walk.next();
      }
      f(x, of_model);
      for (int m = 0; m < Magnitudes::kCount; m++) bits[m][e] = of_model[m];
    }
  } else {
    Work x[N > 0 ? N + Magnitudes::kExtra : kMaxInputs] = {};
    Bits of_model[Magnitudes::kCount] = {};
    const int inputs = N > 0 ? N : in.number;
    if (first < in.count) {
      for (int k = 0; k < inputs; k++) x[k] = load_one<Work>(in.data[k], in.dtype[k], first);
      if constexpr (kGrouped) load_group(groups, Magnitudes::kExtra, groups.place.of(first), x + inputs);
      f(x, of_model);
    }
    for (int m = 0; m < Magnitudes::kCount; m++) bits[m][0] = of_model[m];
  }
}

/// Adds the counts of a block's threads to a task's tally. `shared`: three numbers for each slot.
template <class Bits, int kSlots>
SINTER_DEVICE void add_counts(const TallySlots<Bits, kSlots>& slots, const Counts (&counts)[kSlots], uint32_t task,
                              uint32_t (&shared)[kSlots][3]) {
  if (threadIdx.x < kSlots * 3) shared[threadIdx.x / 3][threadIdx.x % 3] = 0;
  __syncthreads();
#pragma unroll
  for (int s = 0; s < kSlots; s++) {
    // No half overflows: a part has fewer elements than 2^16.
    const uint32_t upper = __reduce_add_sync(kAllLanes, counts[s].upper);
    const uint32_t lower = __reduce_add_sync(kAllLanes, counts[s].lower);
    const uint32_t zeros = __reduce_add_sync(kAllLanes, counts[s].zeros);
    if (threadIdx.x % kWarp != 0) continue;
    atomicAdd(&shared[s][0], upper);
    atomicAdd(&shared[s][1], lower);
    atomicAdd(&shared[s][2], zeros);
  }
  __syncthreads();
  if (threadIdx.x < kSlots && slots.slot[threadIdx.x].active) {
    const TallySlot<Bits>& slot = slots.slot[threadIdx.x];
    const uint32_t above = shared[threadIdx.x][0] & 0xFFFFu;
    const uint32_t equal_high = shared[threadIdx.x][0] >> 16;
    const uint32_t above_low = shared[threadIdx.x][1] & 0xFFFFu;
    const uint32_t equal_low = shared[threadIdx.x][1] >> 16;
    const bool point = slot.low == slot.high;
    DeviceTally& tally = slot.tallies[task];
    const auto add = [](uint64_t& to, uint32_t number) {
      atomicAdd(reinterpret_cast<unsigned long long*>(&to), static_cast<unsigned long long>(number));
    };
    add(tally.above, above);
    add(tally.equal_high, equal_high);
    add(tally.equal_low, point ? 0 : equal_low);
    add(tally.inside, point ? 0 : above_low - above - equal_high);
    add(tally.zeros, shared[threadIdx.x][2]);
  }
  __syncthreads();
}

template <class Work, int N, int kPerModel, class Magnitudes>
__global__ void __launch_bounds__(kTallyThreads) tally_kernel(
    const __grid_constant__ Inputs<N> in, const __grid_constant__ Magnitudes f, const __grid_constant__ Groups groups,
    const __grid_constant__ TallySlots<typename BitsOf<Work>::type, Magnitudes::kCount * kPerModel> slots) {
  using Bits = typename BitsOf<Work>::type;
  constexpr int V = kMapElements<Work, N>;
  constexpr int kSlots = Magnitudes::kCount * kPerModel;
  __shared__ uint32_t shared[kSlots][3];
  const uint32_t parts = (in.count + kTallyPart - 1) / kTallyPart;
  for (uint32_t part = blockIdx.x; part < parts; part += gridDim.x) {
    const uint32_t begin = part * kTallyPart;
    const uint32_t end = in.count - begin < kTallyPart ? in.count : begin + kTallyPart;
    const uint32_t task = static_cast<uint32_t>(begin / kTaskElements);
    Counts counts[kSlots];
    // All threads of a warp go the same number of rounds: they collect together.
    for (uint32_t round = begin; round < end; round += kTallyThreads * V) {
      const uint32_t first = round + threadIdx.x * V;
      Bits bits[Magnitudes::kCount][V];
      load_magnitudes<V, Work, N>(in, f, groups, first, bits);
      const bool whole = round + kTallyThreads * V <= end;
      uint32_t here = 0;
      for (int e = 0; e < V; e++) here |= first + e < end ? 1u << e : 0u;
        // Unrolled, so that counts and magnitudes stay in registers.
#pragma unroll
      for (int s = 0; s < kSlots; s++) {
        const TallySlot<Bits>& slot = slots.slot[s];
        if (!slot.active) continue;
        const Bits(&own)[V] = bits[s / kPerModel];
        if (whole) {
          for (int e = 0; e < V; e++) counts[s].see(slot, own[e]);
        } else {
          for (int e = 0; e < V; e++) {
            if ((here >> e & 1) != 0) counts[s].see(slot, own[e]);
          }
        }
        collect<Bits, V>(slot, task, own, here);
      }
    }
    add_counts<Bits, kSlots>(slots, counts, task, shared);
  }
}

/// Values were counted on beyond the room.
template <class Bits, int kSlots>
__global__ void cap_collected(const __grid_constant__ TallySlots<Bits, kSlots> slots, uint32_t tasks) {
  for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < tasks * kSlots; i += gridDim.x * blockDim.x) {
    const TallySlot<Bits>& slot = slots.slot[i % kSlots];
    if (!slot.active) continue;
    uint64_t& collected = slot.tallies[i / kSlots].collected;
    collected = collected < slot.room ? collected : slot.room;
  }
}

inline uint32_t tasks_of(const Slice& slice) {
  return static_cast<uint32_t>((elements(slice) + kTaskElements - 1) / kTaskElements);
}

/// Places a request in the first free slot of [first, first + count). @returns whether there was one.
template <class Bits, int kSlots>
bool place_request(const TallyRequest& request, int first, int count, TallySlots<Bits, kSlots>& slots) {
  for (int s = first; s < first + count; s++) {
    if (slots.slot[s].active) continue;
    slots.slot[s] = {true,
                     request.selection.share_of_nonzero >= 0,
                     static_cast<Bits>(request.low),
                     static_cast<Bits>(request.high),
                     request.room,
                     request.tallies,
                     static_cast<Bits*>(request.values)};
    return true;
  }
  return false;
}

template <class Work, int N, int kPerModel, class Magnitudes>
cudaError_t launch_tally(const Where& where, const Slice& slice, const Inputs<N>& in, const Magnitudes& f,
                         const Groups& groups,
                         const TallySlots<typename BitsOf<Work>::type, Magnitudes::kCount * kPerModel>& slots) {
  constexpr int kSlots = Magnitudes::kCount * kPerModel;
  const uint32_t tasks = tasks_of(slice);
  for (const auto& slot : slots.slot) {
    if (!slot.active) continue;
    const cudaError_t error = cudaMemsetAsync(slot.tallies, 0, tasks * sizeof(DeviceTally), where.stream);
    if (error != cudaSuccess) return error;
  }
  const uint32_t parts = (in.count + kTallyPart - 1) / kTallyPart;
  const cudaError_t error =
      launch_over(where, tally_kernel<Work, N, kPerModel, Magnitudes>, parts, kTallyThreads, in, f, groups, slots);
  if (error != cudaSuccess || tasks == 0) return error;
  return launch_over(where, cap_collected<typename BitsOf<Work>::type, kSlots>, (tasks * kSlots + 127) / 128, 128,
                     slots, tasks);
}

/// Selections on |x_m - base|: of all models in one pass where their number is known when this is compiled and several
/// have one, else model by model.
template <int kPerModel, class Work, int N>
cudaError_t tally_models(const Where& where, const Job& job, const Slice& slice, const TallyRequest* requests,
                         int count) {
  using Bits = typename BitsOf<Work>::type;
  bool wanted[kMaxInputs] = {};
  int models = 0;
  for (int i = 0; i < count; i++) {
    models += wanted[requests[i].selection.input] ? 0 : 1;
    wanted[requests[i].selection.input] = true;
  }
  if constexpr (N > 2) {
    if (models > 1) {
      TallySlots<Bits, (N - 1) * kPerModel> slots{};
      for (int i = 0; i < count; i++) {
        const int model = requests[i].selection.input - 1;
        if (!place_request(requests[i], model * kPerModel, kPerModel, slots)) return cudaErrorInvalidValue;
      }
      return launch_tally<Work, N, kPerModel>(where, slice, inputs_of<N>(job, slice), PairMagnitudes<Work, N>{},
                                              Groups{}, slots);
    }
  }
  for (int m = 1; m < job.inputs; m++) {
    if (!wanted[m]) continue;
    TallySlots<Bits, kPerModel> slots{};
    for (int i = 0; i < count; i++) {
      if (requests[i].selection.input != m) continue;
      if (!place_request(requests[i], 0, kPerModel, slots)) return cudaErrorInvalidValue;
    }
    Inputs<2> pair{};
    pair.number = 2;
    pair.count = elements(slice);
    pair.aligned = true;
    for (const int k : {0, 1}) {
      const int input = k == 0 ? 0 : m;
      pair.data[k] = slice.input[input];
      pair.dtype[k] = job.input[input].dtype;
      pair.aligned = pair.aligned && reinterpret_cast<uintptr_t>(pair.data[k]) % 16 == 0;
    }
    const cudaError_t error =
        launch_tally<Work, 2, kPerModel>(where, slice, pair, PairMagnitudes<Work, 2>{}, Groups{}, slots);
    if (error != cudaSuccess) return error;
  }
  return cudaSuccess;
}

/// Selections on one magnitude of all inputs.
template <class Method, int kMost, class Work, int N>
cudaError_t tally_jointly(const Where& where, const Job& job, const Slice& slice, const TallyRequest* requests,
                          int count) {
  using Function = typename Method::template Magnitude<Work, N>;
  TallySlots<typename BitsOf<Work>::type, kMost> slots{};
  for (int i = 0; i < count; i++) {
    if (!place_request(requests[i], 0, kMost, slots)) return cudaErrorInvalidValue;
  }
  Groups groups{};
  if constexpr (kExtraOf < Function >> 0) groups = groups_of(job, slice, Method::group_values(job));
  return launch_tally<Work, N, kMost>(where, slice, inputs_of<N>(job, slice),
                                      JointMagnitude<Function, Work>{Function(job)}, groups, slots);
}

}  // namespace sinter::cuda
