// nearswap: out = w b + (1 - w) a,  w = clamp(t / max(|a - b|, 1e-6), 0, 1)
//
// https://huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001: where the other model is near the base it is taken, where
// it is far the base stays. inputs: a (the base), b. params: t. All in the work type.
#pragma once

#include "../engine/job.h"
#include "../numeric/target.h"

SINTER_KERNEL_NAMESPACE_BEGIN

struct NearSwap {
  static constexpr const char* kName = "nearswap";
  static constexpr int kLeastInputs = 2;
  static constexpr int kMostInputs = 2;

  static bool valid(const Job& job) { return job.inputs == 2 && job.params.size() == 1; }

  template <class Work, int N>
  struct Map {
    Work t;
    explicit Map(const Job& job) : t(static_cast<Work>(job.params[0])) {}
    void at(uint64_t) {}

    SINTER_HD Work operator()(const Work* x, const uint32_t*, int32_t) const {
      constexpr Work kNear = static_cast<Work>(1e-6);
      const Work difference = x[0] - x[1];
      Work distance = difference < 0 ? -difference : difference;
      distance = distance < kNear ? kNear : distance;
      Work w = t / distance;
      w = w < 0 ? Work{0} : w;
      w = w > 1 ? Work{1} : w;
      return w * x[1] + (Work{1} - w) * x[0];
    }
  };
};

SINTER_KERNEL_NAMESPACE_END
