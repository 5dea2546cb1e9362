// Task vectors: out = base + lambda * mix_m(weight_m * sparsify(x_m - base))
//
// task_arithmetic  G. Ilharco et al., ICLR 2023, arXiv:2212.04089. No sparsification; mix is the sum.
// ties             P. Yadav et al., NeurIPS 2023, arXiv:2306.01708. Keeps the k largest magnitudes; mix elects a sign.
// dare_linear,     L. Yu et al., ICML 2024, arXiv:2311.03099. Keeps each element with a probability; mix is the sum,
// dare_ties        or elects a sign.
//
// inputs: base, m_1 ... m_k. params: lambda, normalize, rescale, then per model: weight, keep.
// keep: ties: number of elements kept, -1 for all. dare: probability, all from 1 on. task_arithmetic: ignored.
//
// Magnitudes are those of x - base in the work type, compared as integer bits; NaN is largest, ties go to the lowest
// index, exactly k are kept. A dropped difference is multiplied by zero, so NaN and infinity still show.
// rescale: kept differences are scaled by sum|d| / sum|kept d| (float64 sums), unless one is below 1e-7 or not finite.
// Sign election: the sign of the sum of the weighted differences, zero counting as positive; only differences of that
// sign count (a zero difference has none). normalize: divided by the weights that count, by 1 where they sum to zero;
// without election by the sum of all weights, by 1 where it is below 1e-8. Weights of both signs whose sum is within
// its rounding error of zero (0.7 + 0.3 - 1) count as summing to zero: the reference multiplies by ten million there.
#pragma once

#include <cfloat>

#include "../engine/job.h"
#include "../numeric/convert.h"
#include "../numeric/target.h"

SINTER_KERNEL_NAMESPACE_BEGIN

enum class Sparsify { none, magnitude, random };

/// Bits of |x - base|: ordered as the magnitude is, every NaN alike and largest.
template <class Work>
SINTER_HD typename BitsOf<Work>::type difference_magnitude(Work base, Work x) {
  using Bits = typename BitsOf<Work>::type;
  constexpr Bits sign = Bits{1} << (8 * sizeof(Bits) - 1);
  constexpr Bits nan = sizeof(Bits) == 4 ? Bits{0x7F800001} : static_cast<Bits>(0x7FF0000000000001);
  const Bits bits = bits_as<Bits>(x - base) & ~sign;
  return bits < nan ? bits : nan;
}

/// What is kept of one model's differences, in the form the element functions test.
template <class Work, int N, Sparsify kSparsify>
struct Keep {
  using Bits = typename BitsOf<Work>::type;
  static constexpr int kRoom = N > 0 ? N : kMaxInputs;
  int64_t last_equal[kRoom] = {};
  Bits threshold[kRoom] = {};
  /// `last_equal` relative to the chunk at hand.
  int32_t last[kRoom] = {};
  uint32_t limit[kRoom] = {};

  explicit Keep(const Job& job) {
    for (int m = 1; m < job.inputs; m++) {
      const double keep = job.params[2 + 2 * m];
      if constexpr (kSparsify == Sparsify::magnitude) {
        // kKeepNone, all ones, stays above every magnitude when cut down to the work type's bits.
        threshold[m] = static_cast<Bits>(job.thresholds[m - 1].bits);
        last_equal[m] = job.thresholds[m - 1].last_equal;
      }
      if constexpr (kSparsify == Sparsify::random) {
        // kept: word < floor(keep 2^32). With keep below 2^-32 `solve` sets the scale to zero instead.
        const double bound = keep * 4294967296.0;
        limit[m] = keep >= 1.0 ? 0xFFFFFFFFu : bound < 1.0 ? 0u : static_cast<uint32_t>(bound) - 1u;
      }
    }
  }

  void at(uint64_t begin, int inputs) {
    if constexpr (kSparsify == Sparsify::magnitude) {
      for (int m = 1; m < inputs; m++) {
        const int64_t relative = last_equal[m] - static_cast<int64_t>(begin);
        last[m] = static_cast<int32_t>(relative < -1 ? -1 : relative > INT32_MAX ? INT32_MAX : relative);
      }
    }
  }

  /// 1 where element `i` of the chunk is kept, else 0.
  SINTER_HD Work operator()(int m, Work base, Work x, const uint32_t* r, int32_t i) const {
    if constexpr (kSparsify == Sparsify::magnitude) {
      const Bits bits = difference_magnitude<Work>(base, x);
      return ((bits > threshold[m]) | ((bits == threshold[m]) & (i <= last[m]))) ? Work{1} : Work{0};
    } else if constexpr (kSparsify == Sparsify::random) {
      return r[m] <= limit[m] ? Work{1} : Work{0};
    } else {
      return Work{1};
    }
  }
};

template <Sparsify kSparsify, bool kElect>
struct TaskVector {
  static constexpr bool kRandom = kSparsify == Sparsify::random;
  static constexpr int kLeastInputs = 2;
  static constexpr int kMostInputs = kMaxInputs;
  static constexpr double kSmallSum = 1e-7;
  static constexpr double kSmallWeight = 1e-8;
  /// Relative to the sum of the magnitudes: above the rounding error of a float sum of a dozen weights.
  static constexpr double kCancelled = 0x1p-20;

  static bool valid(const Job& job) {
    return job.inputs >= 2 && job.params.size() == static_cast<size_t>(1 + 2 * job.inputs);
  }

  static bool rescales(const Job& job) { return kSparsify != Sparsify::none && job.params[2] != 0.0; }

  static bool needs_random(const Job& job, int input) { return input > 0 && job.params[2 + 2 * input] < 1.0; }

  /// ties: one selection per model; a model that keeps all or none is settled without looking at it.
  static void selections(const Job& job, std::vector<Selection>& out) {
    for (int m = 1; m < job.inputs; m++) {
      const double keep = job.params[2 + 2 * m];
      const uint64_t k = keep < 0 || keep > static_cast<double>(job.count) ? job.count : static_cast<uint64_t>(keep);
      out.push_back({m, k});
    }
  }

  template <class Work>
  static SINTER_HD typename BitsOf<Work>::type magnitude(Work base, Work x) {
    return difference_magnitude<Work>(base, x);
  }

  /// Per model: sum |d|, sum |kept d|.
  static int sum_count(const Job& job) { return rescales(job) ? 2 * (job.inputs - 1) : 0; }

  template <class Work, int N>
  struct Reduce {
    static constexpr int kSums = N > 0 ? 2 * (N - 1) : 0;
    int inputs;
    Keep<Work, N, kSparsify> keep;

    explicit Reduce(const Job& job) : inputs(job.inputs), keep(job) {}
    void at(uint64_t begin) { keep.at(begin, inputs); }

    SINTER_HD void operator()(const Work* x, const uint32_t* r, int32_t i, double* sums) const {
      const int n = N > 0 ? N : inputs;
      for (int m = 1; m < n; m++) {
        const Work difference = x[m] - x[0];
        const Work magnitude = difference < 0 ? -difference : difference;
        sums[2 * m - 2] = static_cast<double>(magnitude);
        sums[2 * m - 1] = static_cast<double>(magnitude * keep(m, x[0], x[m], r, i));
      }
    }
  };

  /// solved: per model the factor of its kept differences.
  static void solve(Job& job) {
    job.solved.assign(static_cast<size_t>(job.inputs), 1.0);
    for (int m = 1; m < job.inputs; m++) {
      if (rescales(job)) {
        const double before = job.sums[2 * m - 2];
        const double after = job.sums[2 * m - 1];
        const bool finite = before <= DBL_MAX && after <= DBL_MAX;
        if (finite && before >= kSmallSum && after >= kSmallSum) job.solved[m] = before / after;
      }
      if (kRandom && job.params[2 + 2 * m] * 4294967296.0 < 1.0) job.solved[m] = 0.0;
    }
  }

  template <class Work, int N>
  struct Map {
    static constexpr int kRoom = N > 0 ? N : kMaxInputs;
    int inputs;
    bool normalize;
    Work lambda;
    Work all_weights;
    /// A sum of the weights that count is taken as zero up to here.
    Work zero_sum;
    Work weight[kRoom] = {};
    Work scale[kRoom] = {};
    Keep<Work, N, kSparsify> keep;

    explicit Map(const Job& job)
        : inputs(job.inputs), normalize(job.params[1] != 0.0), lambda(static_cast<Work>(job.params[0])), keep(job) {
      double total = 0;
      double magnitudes = 0;
      bool cancels = false;
      for (int m = 1; m < inputs; m++) {
        const double w = job.params[1 + 2 * m];
        weight[m] = static_cast<Work>(w);
        scale[m] = static_cast<Work>(job.solved[m]);
        total += w;
        magnitudes += w < 0 ? -w : w;
        cancels |= w < 0;
      }
      zero_sum = static_cast<Work>(cancels ? magnitudes * kCancelled : 0.0);
      all_weights = static_cast<Work>(total < kSmallWeight && total > -kSmallWeight ? 1.0 : total);
    }

    void at(uint64_t begin) { keep.at(begin, inputs); }

    SINTER_HD Work operator()(const Work* x, const uint32_t* r, int32_t i) const {
      const int n = N > 0 ? N : inputs;
      Work difference[kRoom] = {};
      Work sum = 0;
      for (int m = 1; m < n; m++) {
        difference[m] = (x[m] - x[0]) * keep(m, x[0], x[m], r, i) * scale[m] * weight[m];
        sum += difference[m];
      }
      Work mixed = sum;
      Work divisor = all_weights;
      if constexpr (kElect) {
        const bool positive = sum >= 0;
        mixed = 0;
        divisor = 0;
        for (int m = 1; m < n; m++) {
          const Work aligned = positive ? difference[m] : -difference[m];
          const Work counts = aligned > 0 ? Work{1} : Work{0};
          mixed += difference[m] * counts;
          divisor += weight[m] * counts;
        }
        const Work size = divisor < 0 ? -divisor : divisor;
        divisor = size <= zero_sum ? Work{1} : divisor;
      }
      divisor = normalize ? divisor : Work{1};
      return x[0] + mixed / divisor * lambda;
    }
  };
};

struct TaskArithmetic : TaskVector<Sparsify::none, false> {
  static constexpr const char* kName = "task_arithmetic";
};
struct Ties : TaskVector<Sparsify::magnitude, true> {
  static constexpr const char* kName = "ties";
  static constexpr bool kSelects = true;
};
struct DareLinear : TaskVector<Sparsify::random, false> {
  static constexpr const char* kName = "dare_linear";
};
struct DareTies : TaskVector<Sparsify::random, true> {
  static constexpr const char* kName = "dare_ties";
};

SINTER_KERNEL_NAMESPACE_END
