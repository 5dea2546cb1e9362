// della's masks: which elements of a row are kept, where the chance of each grows with the rank of its magnitude.
//
// Sorting every row would cost more than everything else. But a rank is only needed where it decides: magnitudes are
// counted by their high bits, which brackets each element's rank; where the element's random word lies below (above) the
// limits of the whole bracket it is kept (dropped) whatever its rank. Only the brackets of the others are put in order.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "../methods/task-vector.h"

SINTER_KERNEL_NAMESPACE_BEGIN

/// Buckets per row: eight octaves below the largest magnitude, by the 7 leading bits of the mantissa; all below share one.
constexpr uint32_t kBuckets = 1024;
/// Separate counters for neighbouring elements: equal ones in a row would wait for each other's increment.
constexpr uint32_t kCounters4 = 4;

/// Room for one row; grows with the longest.
struct RankRoom {
  std::vector<uint16_t> bucket;
  std::vector<uint32_t> order;
  std::vector<uint32_t> undecided;

  explicit RankRoom(uint64_t n) : bucket(n), order(n), undecided(n) {}
};

/// mask[i] = 1 where word[i] < limit[rank of bits[i]], else 0. Ranks count from 0, equal bits by index.
template <class Bits>
void rank_row(const Bits* __restrict bits, const uint32_t* __restrict word, uint32_t n,
              const uint32_t* __restrict limit, RankRoom& room, uint8_t* __restrict mask) {
  constexpr int kShift = sizeof(Bits) == 4 ? 16 : 45;
  uint16_t* __restrict bucket = room.bucket.data();
  Bits largest = 0;
  for (uint32_t i = 0; i < n; i++) largest = bits[i] > largest ? bits[i] : largest;
  const int64_t top = static_cast<int64_t>(largest >> kShift);
  const int32_t lowest = static_cast<int32_t>(top - (kBuckets - 1));
  for (uint32_t i = 0; i < n; i++) {
    const int32_t relative = static_cast<int32_t>(bits[i] >> kShift) - lowest;
    bucket[i] = static_cast<uint16_t>(relative < 0 ? 0 : relative);
  }

  uint32_t counts[kCounters4][kBuckets] = {};
  for (uint32_t i = 0; i < n; i++) counts[i % kCounters4][bucket[i]]++;
  uint32_t start[kBuckets + 1];
  uint32_t sure[kBuckets];      // below this word an element of the bucket is kept whatever its rank
  uint32_t possible[kBuckets];  // from this word on it is dropped whatever its rank
  uint32_t next = 0;
  for (uint32_t b = 0; b < kBuckets; b++) {
    start[b] = next;
    const uint32_t size = counts[0][b] + counts[1][b] + counts[2][b] + counts[3][b];
    // The limits rise with the rank, or fall where epsilon is negative.
    const uint32_t first = size == 0 ? 0 : limit[next];
    next += size;
    const uint32_t final = size == 0 ? 0 : limit[next - 1];
    sure[b] = std::min(first, final);
    possible[b] = std::max(first, final);
  }
  start[kBuckets] = next;

  uint32_t undecided = 0;
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t b = bucket[i];
    mask[i] = word[i] < sure[b] ? 1 : 0;
    room.undecided[undecided] = i;
    undecided += ((word[i] >= sure[b]) & (word[i] < possible[b])) ? 1 : 0;
  }
  if (undecided == 0) return;

  // Elements of each bucket in order of index, then sorted where they are not all alike.
  uint32_t* __restrict order = room.order.data();
  uint32_t cursor[kBuckets];
  memcpy(cursor, start, sizeof(cursor));
  for (uint32_t i = 0; i < n; i++) order[cursor[bucket[i]]++] = i;
  const auto smaller = [bits](uint32_t a, uint32_t b) { return bits[a] != bits[b] ? bits[a] < bits[b] : a < b; };
  for (uint32_t u = 0; u < undecided; u++) {
    const uint32_t b = bucket[room.undecided[u]];
    if (cursor[b] == 0) continue;  // done before
    uint32_t* const from = order + start[b];
    uint32_t* const to = order + start[b + 1];
    if (!std::is_sorted(from, to, smaller)) std::sort(from, to, smaller);
    for (uint32_t rank = start[b]; rank < start[b + 1]; rank++) {
      mask[order[rank]] = word[order[rank]] < limit[rank] ? 1 : 0;
    }
    cursor[b] = 0;
  }
}

SINTER_KERNEL_NAMESPACE_END
