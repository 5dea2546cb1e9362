#include "digest.h"

#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "../cpu/dispatch.h"
#include "../cpu/targets.h"
#include "digest-target.h"

namespace sinter {

#define SINTER_DECLARE(id) extern const DigestLoop SINTER_OF_TARGET(kDigestLoop, id);
SINTER_EACH_TARGET(SINTER_DECLARE)

namespace {

/// Of the highest instruction set that this CPU runs.
const DigestLoop& digest_loop() {
  static const DigestLoop& best = []() -> const DigestLoop& {
#define SINTER_ADDRESS(id) &SINTER_OF_TARGET(kDigestLoop, id),
    const DigestLoop* found = nullptr;
    for (const DigestLoop* loop : {SINTER_EACH_TARGET(SINTER_ADDRESS)}) {
      if (find_kernels(loop->target) != nullptr) found = loop;
    }
    return *found;
  }();
  return best;
}

}  // namespace

Digest xxh3_128(const void* bytes, size_t count) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, count));
  Digest digest;
  memcpy(digest.data(), canonical.digest, digest.size());
  return digest;
}

uint64_t xxh3_64(const void* bytes, size_t count, uint64_t seed) { return XXH3_64bits_withSeed(bytes, count, seed); }

DigestStream::DigestStream() : state_(XXH3_createState()) { reset(); }
DigestStream::~DigestStream() { XXH3_freeState(static_cast<XXH3_state_t*>(state_)); }
void DigestStream::reset() { XXH3_128bits_reset(static_cast<XXH3_state_t*>(state_)); }

void DigestStream::update(const void* bytes, size_t count) { digest_loop().update(state_, bytes, count); }

Digest DigestStream::digest() const {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(static_cast<const XXH3_state_t*>(state_)));
  Digest digest;
  memcpy(digest.data(), canonical.digest, digest.size());
  return digest;
}

namespace {

constexpr uint32_t kPolynomial = 0xEDB88320u;

/// Slicing by eight: table[k][b] is the CRC of byte b followed by k zero bytes.
struct CrcTables {
  uint32_t table[8][256];

  constexpr CrcTables() : table() {
    for (uint32_t b = 0; b < 256; b++) {
      uint32_t crc = b;
      for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? kPolynomial : 0);
      table[0][b] = crc;
    }
    for (int k = 1; k < 8; k++) {
      for (uint32_t b = 0; b < 256; b++) table[k][b] = (table[k - 1][b] >> 8) ^ table[0][table[k - 1][b] & 0xFF];
    }
  }
};
constexpr CrcTables kCrc;

/// Product of two polynomials modulo the CRC's, bits reflected: x^0 is the highest bit.
uint32_t multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t bit = 0x80000000u; bit != 0; bit >>= 1) {
    if (a & bit) product ^= b;
    b = (b >> 1) ^ (b & 1 ? kPolynomial : 0);
  }
  return product;
}

}  // namespace

uint32_t crc32(uint32_t crc, const std::byte* bytes, size_t count) {
  crc = ~crc;
  for (; count >= 8; bytes += 8, count -= 8) {
    uint32_t low, high;
    memcpy(&low, bytes, 4);
    memcpy(&high, bytes + 4, 4);
    low ^= crc;
    crc = kCrc.table[7][low & 0xFF] ^ kCrc.table[6][(low >> 8) & 0xFF] ^ kCrc.table[5][(low >> 16) & 0xFF] ^
          kCrc.table[4][low >> 24] ^ kCrc.table[3][high & 0xFF] ^ kCrc.table[2][(high >> 8) & 0xFF] ^
          kCrc.table[1][(high >> 16) & 0xFF] ^ kCrc.table[0][high >> 24];
  }
  for (; count > 0; bytes++, count--) crc = (crc >> 8) ^ kCrc.table[0][(crc ^ static_cast<uint8_t>(*bytes)) & 0xFF];
  return ~crc;
}

uint32_t crc32_join(uint32_t first, uint32_t second, uint64_t second_length) {
  uint32_t power = 0x00800000u;  // x^8: one byte further
  uint32_t shift = 0x80000000u;  // x^0
  for (uint64_t n = second_length; n != 0; n >>= 1) {
    if (n & 1) shift = multiply(shift, power);
    power = multiply(power, power);
  }
  return multiply(shift, first) ^ second;
}

}  // namespace sinter
