#if defined(__x86_64__)
#define TARGET __attribute__((target("avx2")))
#define NAME(name) name##_avx2

#include "elementwise_kernel.h"
#include "patches_kernel.h"
#endif
