// Task vectors: out = base + lambda * mix_m(weight_m * sparsify(x_m - base))
//
// task_arithmetic   G. Ilharco et al., ICLR 2023, arXiv:2212.04089. No sparsification; mix is the sum.
// ties, ties_count  P. Yadav et al., NeurIPS 2023, arXiv:2306.01708. Keeps the k largest magnitudes; mix elects a sign.
// dare_linear,      L. Yu et al., ICML 2024, arXiv:2311.03099. Keeps each element with a probability; mix is the sum, or
// dare_ties         elects a sign.
// breadcrumbs,      M. Davari, E. Belilovsky, ECCV 2024, arXiv:2312.06795. Drops the largest magnitudes, keeps the next;
// breadcrumbs_ties  mix is the sum, or elects a sign.
// della_linear,     P. T. Deep et al., arXiv:2406.11617. Keeps each element with a probability that grows with the rank
// della             of its magnitude within its row; mix is the sum, or elects a sign.
//
// inputs: base, m_1 ... m_k. params: lambda, normalize, rescale, then per model:
//   task_arithmetic  weight, ignored
//   ties             weight, number of elements kept (-1: all)
//   dare             weight, probability (all from 1 on)
//   breadcrumbs      weight, number dropped at the top, number kept after them (-1: all kept, none dropped)
//   della            weight, density (all from 1 on, none from 0 down), epsilon
//
// Magnitudes are those of x - base in the work type, compared as integer bits; NaN is largest, ties go to the lowest
// index, counts are exact. A dropped difference is multiplied by zero, so NaN and infinity still show.
// della: rows are the vectors along the last dimension; the element of rank r of n (1: smallest magnitude; equals by
// index) is kept with probability density - epsilon + 2 epsilon (r - 1) / (n - 1), with density where n is 1.
// rescale: kept differences are scaled by sum|d| / sum|kept d| (float64 sums), unless one is below 1e-7 or not finite.
// Sign election: the sign of the sum of the weighted differences (ties_count: of the sum of their signs, so that every
// model has one vote), zero counting as positive; only differences of that
// sign count (a zero difference has none). normalize: divided by the weights that count, by 1 where they sum to zero;
// without election by the sum of all weights, by 1 where it is below 1e-8. Weights of both signs whose sum is within
// its rounding error of zero (0.7 + 0.3 - 1) count as summing to zero: the reference multiplies by ten million there.
#pragma once

#include <cfloat>
#include <type_traits>

#include "../engine/job.h"
#include "../numeric/convert.h"
#include "../numeric/divide.h"
#include "../numeric/lanes.h"
#include "../numeric/target.h"

SINTER_KERNEL_NAMESPACE_BEGIN

/// Whose sign counts, if one does: that of the sum of the weighted differences, or that which most of them have.
enum class Elect { nobody, sum, count };
enum class Sparsify { none, magnitude, random, outliers, ranked };

/// Numbers per model in `params`, and where those of model `m` (from 1) begin.
constexpr int numbers_per_model(Sparsify sparsify) {
  return sparsify == Sparsify::outliers || sparsify == Sparsify::ranked ? 3 : 2;
}
constexpr int first_number(Sparsify sparsify, int m) { return 3 + (m - 1) * numbers_per_model(sparsify); }

/// Bits of |x - base|: ordered as the magnitude is, every NaN alike and largest.
template <class Value>
SINTER_HD typename BitsOf<Value>::type difference_magnitude(Value base, Value x) {
  using Bits = typename BitsOf<Value>::type;
  using Bit = typename BitsOf<typename LaneOf<Value>::type>::type;
  constexpr Bit sign = Bit{1} << (8 * sizeof(Bit) - 1);
  constexpr Bit nan = sizeof(Bit) == 4 ? Bit{0x7F800001} : static_cast<Bit>(0x7FF0000000000001);
  const Bits bits = bits_as<Bits>(x - base) & ~sign;
  return bits < nan ? bits : nan;
}

/// |x|, of one element: no lanes. Instructions of a GPU take it along.
template <class Work>
SINTER_HD Work absolute(Work x) {
  if constexpr (sizeof(Work) == 4) {
    return __builtin_fabsf(x);
  } else {
    return __builtin_fabs(x);
  }
}

/// A random word of 32 bits below this keeps an element whose probability is `p` < 1.
inline uint32_t keep_limit(double p) {
  const double bound = p * 4294967296.0;
  return bound <= 0.0 ? 0u : bound >= 4294967295.0 ? 0xFFFFFFFFu : static_cast<uint32_t>(bound);
}

/// The largest number of a random mask that keeps an element (cpu/chunks.h: below the upper half of the limit, or a zero
/// that the lower half decided).
inline uint32_t most_kept(uint32_t limit) { return limit >> 16 == 0 ? 0u : (limit >> 16) - 1u; }

/// della: the limit for the element of rank `rank` (from 0) of `n`.
inline uint32_t ranked_limit(double density, double epsilon, uint64_t rank, uint64_t n) {
  if (n == 1) return keep_limit(density);
  const double place = static_cast<double>(rank) / static_cast<double>(n - 1);
  return keep_limit(density - epsilon + 2.0 * epsilon * place);
}

/// Which elements lie within the k largest magnitudes, in the form the element functions test.
template <class Work, int kRoom>
struct Within {
  using Bits = typename BitsOf<Work>::type;
  int64_t last_equal[kRoom] = {};
  Bits threshold[kRoom] = {};
  /// `last_equal` relative to the chunk at hand.
  int32_t last[kRoom] = {};

  void set(int m, const Threshold& found) {
    // kKeepNone, all ones, stays above every magnitude when cut down to the work type's bits.
    threshold[m] = static_cast<Bits>(found.bits);
    last_equal[m] = found.last_equal;
  }

  void at(uint64_t begin, int inputs) {
    for (int m = 1; m < inputs; m++) {
      const int64_t relative = last_equal[m] - static_cast<int64_t>(begin);
      last[m] = static_cast<int32_t>(relative < -1 ? -1 : relative > INT32_MAX ? INT32_MAX : relative);
    }
  }

  template <class Magnitude, class Index>
  SINTER_HD auto operator()(int m, Magnitude bits, Index i) const {
    return (bits > threshold[m]) | ((bits == threshold[m]) & (i <= last[m]));
  }

  /// The least magnitude that lies within, for elements [first, first + n) of the chunk: as a value, since a comparison of
  /// values takes the sign away at no cost. @returns false where they do not share one, or no finite one.
  SINTER_HD bool least(int m, int32_t first, int32_t n, Work& value) const {
    constexpr Bits infinity = sizeof(Bits) == 4 ? Bits{0x7F800000} : static_cast<Bits>(0x7FF0000000000000);
    const int32_t left = last[m] - first;
    const bool all = left >= n - 1;
    const Bits bits = threshold[m] + (all ? 0u : 1u);
    value = bits_as<Work>(bits);
    return (all | (left < 0)) & (threshold[m] < infinity);
  }
};

/// What is kept of each model's differences.
template <class Work, int N, Sparsify kSparsify>
struct Keep {
  using Bits = typename BitsOf<Work>::type;
  static constexpr int kRoom = N > 0 ? N : kMaxInputs;
  static constexpr bool kRanks = kSparsify == Sparsify::magnitude || kSparsify == Sparsify::outliers;
  static constexpr bool kWords = kSparsify == Sparsify::random || kSparsify == Sparsify::ranked;
  struct Nothing {};
  // They take a byte each where they are nothing: compilers for GPUs do not agree with those for hosts where
  // [[no_unique_address]] puts what follows.
  std::conditional_t<kRanks, Within<Work, kRoom>, Nothing> largest;
  std::conditional_t<kSparsify == Sparsify::outliers, Within<Work, kRoom>, Nothing> dropped;
  /// random: kept where the mask's number is at most this. ranked: kept where the mask's word is at least this.
  uint32_t limit[kWords ? kRoom : 1] = {};

  explicit Keep(const Job& job) {
    for (int m = 1; m < job.inputs; m++) {
      if constexpr (kSparsify == Sparsify::magnitude) largest.set(m, job.thresholds[m - 1]);
      if constexpr (kSparsify == Sparsify::outliers) {
        largest.set(m, job.thresholds[2 * m - 2]);
        dropped.set(m, job.thresholds[2 * m - 1]);
      }
      if constexpr (kSparsify == Sparsify::random) {
        const double p = job.params[first_number(kSparsify, m) + 1];
        limit[m] = p >= 1.0 ? 0xFFFFFFFFu : most_kept(keep_limit(p));
      }
      if constexpr (kSparsify == Sparsify::ranked) {
        limit[m] = job.params[first_number(kSparsify, m) + 1] >= 1.0 ? 0u : 1u;
      }
    }
  }

  void at(uint64_t begin, int inputs) {
    if constexpr (kRanks) largest.at(begin, inputs);
    if constexpr (kSparsify == Sparsify::outliers) dropped.at(begin, inputs);
  }

  /// What decides of elements that follow each other: the least magnitude that is kept, and that is dropped again.
  struct Bounds {
    Work least[kRanks ? kRoom : 1];
    Work dropped[kSparsify == Sparsify::outliers ? kRoom : 1];
  };

  /// Those of elements [first, first + n) of the chunk. @returns false where they do not share them.
  SINTER_HD bool bounds(int inputs, int32_t first, int32_t n, Bounds& found) const {
    bool shared = true;
    for (int m = 1; m < (kRoom == kMaxInputs ? inputs : kRoom); m++) {
      if constexpr (kRanks) shared &= largest.least(m, first, n, found.least[m]);
      if constexpr (kSparsify == Sparsify::outliers) shared &= dropped.least(m, first, n, found.dropped[m]);
    }
    return shared;
  }

  /// Whether an element whose difference is finite is kept.
  SINTER_HD bool is_kept(int m, Work difference, const uint32_t* r, const Bounds& bounds) const {
    const Work magnitude = absolute(difference);
    if constexpr (kSparsify == Sparsify::outliers) {
      return (magnitude >= bounds.least[m]) & !(magnitude >= bounds.dropped[m]);
    } else if constexpr (kRanks) {
      return magnitude >= bounds.least[m];
    } else if constexpr (kSparsify == Sparsify::random) {
      return r[m] <= limit[m];
    } else if constexpr (kSparsify == Sparsify::ranked) {
      return r[m] >= limit[m];
    } else {
      return true;
    }
  }

  /// Whether element `i` of the chunk is kept; of lanes, for each.
  template <class Value, class Word, class Index>
  SINTER_HD auto operator()(int m, Value base, Value x, const Word* r, Index i) const {
    if constexpr (kSparsify == Sparsify::magnitude) {
      return largest(m, difference_magnitude<Value>(base, x), i);
    } else if constexpr (kSparsify == Sparsify::outliers) {
      const auto bits = difference_magnitude<Value>(base, x);
      return largest(m, bits, i) & !dropped(m, bits, i);
    } else if constexpr (kSparsify == Sparsify::random) {
      return r[m] <= limit[m];
    } else if constexpr (kSparsify == Sparsify::ranked) {
      return r[m] >= limit[m];
    } else {
      return Value{} == Value{};
    }
  }
};

// Hosts make these, devices read them: the compilers have to agree where each number lies.
static_assert(sizeof(Keep<float, 3, Sparsify::random>) == 16 && sizeof(Keep<double, 3, Sparsify::ranked>) == 16);

/// What `rescale` asks for: of each model the sum of |d|, and of |d| over what is kept. Where one that is dropped is no
/// number, the first sum is none either, and nothing is rescaled.
template <class Work, int N, Sparsify kSparsify>
struct KeptSums {
  static constexpr int kSums = N > 0 ? 2 * (N - 1) : 0;
  static constexpr bool kLanewise = true;
  int inputs;
  Keep<Work, N, kSparsify> keep;

  explicit KeptSums(const Job& job) : inputs(job.inputs), keep(job) {}
  void at(uint64_t begin) { keep.at(begin, inputs); }

  template <class Value, class Word, class Index, class Sums>
  SINTER_HD void operator()(const Value* x, const Word* r, Index i, Sums sums) const {
    const int n = N > 0 ? N : inputs;
    for (int m = 1; m < n; m++) {
      const Value zero = {};
      const Value difference = x[m] - x[0];
      const Value magnitude = difference < 0 ? -difference : difference;
      sums[2 * m - 2] = to_double(magnitude);
      sums[2 * m - 1] = to_double(keep(m, x[0], x[m], r, i) ? magnitude : zero);
    }
  }

  /// The same terms of one element, added to sums that are not -0: nothing is added for what is dropped. `kept(m)`: whether
  /// that of model `m` is kept.
  template <class Kept>
  SINTER_HD void add(const Work* x, const Kept& kept, double* sums) const {
    for (int m = 1; m < N; m++) {
      const double magnitude = to_double(absolute(x[m] - x[0]));
      sums[2 * m - 2] += magnitude;
      if (kept(m)) sums[2 * m - 1] += magnitude;
    }
  }
};

template <Sparsify kSparsify, Elect kElect>
struct TaskVector {
  /// What stands in an element's words: random numbers, or the mask that the prepare pass made of them.
  static constexpr bool kRandom = kSparsify == Sparsify::random;
  static constexpr bool kRanked = kSparsify == Sparsify::ranked;
  static constexpr int kLeastInputs = 2;
  static constexpr int kMostInputs = kMaxInputs;
  static constexpr int kSelectionsPerInput = kSparsify == Sparsify::outliers ? 2 : 1;
  static constexpr double kSmallSum = 1e-7;
  static constexpr double kSmallWeight = 1e-8;
  /// Relative to the sum of the magnitudes: above the rounding error of a float sum of a dozen weights.
  static constexpr double kCancelled = 0x1p-20;

  /// The `i`-th number of model `m`: its weight, then those of the sparsification.
  static double number(const Job& job, int m, int i) {
    return job.params[static_cast<size_t>(first_number(kSparsify, m) + i)];
  }

  static bool valid(const Job& job) {
    return job.inputs >= 2 && job.params.size() == static_cast<size_t>(first_number(kSparsify, job.inputs));
  }

  static bool rescales(const Job& job) { return kSparsify != Sparsify::none && job.params[2] != 0.0; }

  static bool needs_words(const Job& job, int input) {
    return input > 0 && number(job, input, 1) < 1.0 && !keeps_none(job, input);
  }

  /// Of a random mask.
  static uint32_t limit(const Job& job, int m) { return keep_limit(number(job, m, 1)); }

  static bool keeps_none(const Job& job, int m) {
    if (kRanked) return number(job, m, 1) <= 0.0;
    return kRandom && keep_limit(number(job, m, 1)) == 0;
  }

  /// ties: the k largest. breadcrumbs: the largest down to the last kept, and those of them that are dropped.
  static void selections(const Job& job, std::vector<Selection>& out) {
    for (int m = 1; m < job.inputs; m++) {
      const double keep = number(job, m, kSparsify == Sparsify::outliers ? 2 : 1);
      const bool all = keep < 0 || keep > static_cast<double>(job.count);
      const double top = kSparsify == Sparsify::outliers && !all ? number(job, m, 1) : 0.0;
      out.push_back({m, all ? job.count : static_cast<uint64_t>(keep + top)});
      if (kSparsify == Sparsify::outliers) out.push_back({m, static_cast<uint64_t>(top)});
    }
  }

  template <class Work>
  static SINTER_HD typename BitsOf<Work>::type magnitude(Work base, Work x) {
    return difference_magnitude<Work>(base, x);
  }

  /// Per model: sum |d|, sum |kept d|.
  static int sum_count(const Job& job) { return rescales(job) ? 2 * (job.inputs - 1) : 0; }

  template <class Work, int N>
  using Reduce = KeptSums<Work, N, kSparsify>;

  /// solved: per model the factor of its kept differences.
  static bool solve(Job& job) {
    job.solved.assign(static_cast<size_t>(job.inputs), 1.0);
    for (int m = 1; m < job.inputs; m++) {
      if (rescales(job)) {
        const double before = job.sums[2 * m - 2];
        const double after = job.sums[2 * m - 1];
        const bool finite = before <= DBL_MAX && after <= DBL_MAX;
        if (finite && before >= kSmallSum && after >= kSmallSum) job.solved[m] = before / after;
      }
      if (keeps_none(job, m)) job.solved[m] = 0.0;
    }
    return false;
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
    /// Of what is kept: the weight, times what rescaling asks for.
    Work factor[kRoom] = {};
    Keep<Work, N, kSparsify> keep;
    /// Whatever counts, what is divided by suits `quick_quotient`; and finite differences make no NaN.
    bool is_plain = true;

    explicit Map(const Job& job)
        : inputs(job.inputs), normalize(job.params[1] != 0.0), lambda(static_cast<Work>(job.params[0])), keep(job) {
      double total = 0;
      double magnitudes = 0;
      bool cancels = false;
      for (int m = 1; m < inputs; m++) {
        const double w = number(job, m, 0);
        weight[m] = static_cast<Work>(w);
        factor[m] = static_cast<Work>(w * job.solved[m]);
        is_plain &= w == 0 || w >= kLeastQuickDivisor;
        total += w;
        magnitudes += w < 0 ? -w : w;
        cancels |= w < 0;
      }
      zero_sum = static_cast<Work>(cancels ? magnitudes * kCancelled : 0.0);
      all_weights = static_cast<Work>(total < kSmallWeight && total > -kSmallWeight ? 1.0 : total);
      is_plain = (!normalize || (is_plain && total <= kMostQuickDivisor)) && absolute(lambda) <= FLT_MAX;
    }

    void at(uint64_t begin) { keep.at(begin, inputs); }

    static constexpr bool kLanewise = true;

    template <class Value, class Word, class Index>
    SINTER_HD Value operator()(const Value* x, const Word* r, Index i) const {
      const int n = N > 0 ? N : inputs;
      const Value zero = {};
      const Value one = zero + 1;
      Value difference[kRoom];
      Value sum = zero;
      Value votes = zero;
      for (int m = 1; m < n; m++) {
        const Value kept = keep(m, x[0], x[m], r, i) ? one : zero;
        difference[m] = (x[m] - x[0]) * kept * factor[m];
        sum += difference[m];
        if constexpr (kElect == Elect::count) {
          votes += difference[m] > 0 ? one : zero;
          votes -= difference[m] < 0 ? one : zero;
        }
      }
      Value mixed = sum;
      Value divisor = zero + all_weights;
      if constexpr (kElect != Elect::nobody) {
        const auto positive = (kElect == Elect::count ? votes : sum) >= 0;
        mixed = zero;
        divisor = zero;
        for (int m = 1; m < n; m++) {
          const Value aligned = positive ? difference[m] : -difference[m];
          const Value counts = aligned > 0 ? one : zero;
          mixed += difference[m] * counts;
          divisor += weight[m] * counts;
        }
        const Value size = divisor < 0 ? -divisor : divisor;
        divisor = size <= zero_sum ? one : divisor;
      }
      divisor = normalize ? divisor : one;
      return x[0] + mixed / divisor * lambda;
    }

    // ---- the same of one element after the other, in fewer steps, for elements that share their bounds ----
    //
    // Of finite differences those that are dropped, or do not count, only add zeros to sums that begin at +0 and so never
    // are -0: they are left out. All else, which is rare, is left to the operator above.

    using Bounds = typename Keep<Work, N, kSparsify>::Bounds;

    /// Whether `quick` may take elements [first, first + n) of the chunk.
    SINTER_HD bool is_quick(int32_t first, int32_t n, Bounds& bounds) const {
      return keep.bounds(inputs, first, n, bounds) & is_plain;
    }

    /// @returns false where `y` is not the element: a difference is not finite, or too large or small. Else `y` is no NaN.
    SINTER_HD bool quick(const Work* x, const uint32_t* r, const Bounds& bounds, Work& y) const {
      // So that sums of as many as there may be are no larger than what is divided quickly.
      constexpr Work most = static_cast<Work>(kMostQuickNumerator / kMaxInputs);
      const int n = N > 0 ? N : inputs;
      Work difference[kRoom];
      Work sum = 0;
      int votes = 0;
      bool right = true;
      for (int m = 1; m < n; m++) {
        const Work own = x[m] - x[0];
        const Work weighted = own * factor[m];
        right &= absolute(weighted) <= most;
        difference[m] = keep.is_kept(m, own, r, bounds) ? weighted : Work{0};
        // Where a sign is elected, that of a zero is none.
        sum = m == 1 && kElect != Elect::nobody ? difference[m] : sum + difference[m];
        if constexpr (kElect == Elect::count) {
          votes += difference[m] > 0 ? 1 : 0;
          votes -= difference[m] < 0 ? 1 : 0;
        }
      }
      Work mixed = sum;
      Work divisor = all_weights;
      if constexpr (kElect != Elect::nobody) {
        const bool positive = kElect == Elect::count ? votes >= 0 : sum >= 0;
        mixed = 0;
        divisor = 0;
        for (int m = 1; m < n; m++) {
          const bool counts = (positive ? difference[m] : -difference[m]) > 0;
          mixed = counts ? m == 1 ? difference[m] : mixed + difference[m] : mixed;
          divisor = counts ? m == 1 ? weight[m] : divisor + weight[m] : divisor;
        }
        divisor = absolute(divisor) <= zero_sum ? Work{1} : divisor;
      }
      divisor = normalize ? divisor : Work{1};
      y = x[0] + quick_quotient(mixed, divisor, right) * lambda;
      return right;
    }
  };
};

struct TaskArithmetic : TaskVector<Sparsify::none, Elect::nobody> {
  static constexpr const char* kName = "task_arithmetic";
};
struct Ties : TaskVector<Sparsify::magnitude, Elect::sum> {
  static constexpr const char* kName = "ties";
  static constexpr bool kSelects = true;
};
struct TiesCount : TaskVector<Sparsify::magnitude, Elect::count> {
  static constexpr const char* kName = "ties_count";
  static constexpr bool kSelects = true;
};
struct DareLinear : TaskVector<Sparsify::random, Elect::nobody> {
  static constexpr const char* kName = "dare_linear";
};
struct DareTies : TaskVector<Sparsify::random, Elect::sum> {
  static constexpr const char* kName = "dare_ties";
};
struct Breadcrumbs : TaskVector<Sparsify::outliers, Elect::nobody> {
  static constexpr const char* kName = "breadcrumbs";
  static constexpr bool kSelects = true;
};
struct BreadcrumbsTies : TaskVector<Sparsify::outliers, Elect::sum> {
  static constexpr const char* kName = "breadcrumbs_ties";
  static constexpr bool kSelects = true;
};
struct DellaLinear : TaskVector<Sparsify::ranked, Elect::nobody> {
  static constexpr const char* kName = "della_linear";
};
struct Della : TaskVector<Sparsify::ranked, Elect::sum> {
  static constexpr const char* kName = "della";
};

SINTER_KERNEL_NAMESPACE_END
