// The loop of XXH3 for one instruction set: with AVX2 it is three times as fast as without, and a checksum of every byte
// would else be a noticeable part of a merge that keeps up with memory.

#include "digest-target.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "../cpu/targets.h"

#define SINTER_TEXT_(a) #a
#define SINTER_TEXT(a) SINTER_TEXT_(a)

namespace sinter {

static void update(void* state, const void* bytes, size_t count) {
  XXH3_128bits_update(static_cast<XXH3_state_t*>(state), bytes, count);
}

extern const DigestLoop SINTER_OF_TARGET(kDigestLoop, SINTER_TARGET);
const DigestLoop SINTER_OF_TARGET(kDigestLoop, SINTER_TARGET){SINTER_TEXT(SINTER_TARGET_NAME), update};

}  // namespace sinter
