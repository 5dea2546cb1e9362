// Checksums: XXH3-128 (https://xxhash.com) for verification, CRC-32 (ISO 3309, as zip files need).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace sinter {

using Digest = std::array<uint8_t, 16>;

/// XXH3-128 in its canonical, big-endian form.
Digest xxh3_128(const void* bytes, size_t count);

/// XXH3-64 with a seed.
uint64_t xxh3_64(const void* bytes, size_t count, uint64_t seed);

/// XXH3-128 of data that comes in pieces. Owns its state; not copyable.
class DigestStream {
 public:
  DigestStream();
  ~DigestStream();
  DigestStream(const DigestStream&) = delete;
  DigestStream& operator=(const DigestStream&) = delete;
  void reset();
  void update(const void* bytes, size_t count);
  Digest digest() const;

 private:
  void* state_;
};

/// CRC-32 of `bytes`, going on from `crc` (0 at the start).
uint32_t crc32(uint32_t crc, const std::byte* bytes, size_t count);

/// CRC-32 of two pieces joined, from the CRCs of each and the length of the second.
uint32_t crc32_join(uint32_t first, uint32_t second, uint64_t second_length);

}  // namespace sinter
