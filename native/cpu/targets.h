// The instruction sets that this build has kernels for, lowest first: `X(id)` for each.
#pragma once

#if defined(SINTER_ONLY_TARGET)
#define SINTER_EACH_TARGET(X) X(SINTER_ONLY_TARGET)
#elif defined(__x86_64__)
#define SINTER_EACH_TARGET(X) X(x86_64_v2) X(x86_64_v3) X(x86_64_v4)
#else
#define SINTER_EACH_TARGET(X) X(arm64)
#endif

#define SINTER_OF_TARGET_(name, id) name##_##id
/// The object called `name` of one instruction set.
#define SINTER_OF_TARGET(name, id) SINTER_OF_TARGET_(name, id)
