#if defined(__x86_64__)
// Tuned for the first that had it: for processors before it each load and store of a vector would be two.
#define TARGET __attribute__((target("avx2,tune=haswell")))
#define NAME(name) name##_avx2

#include "elementwise_kernel.h"
#include "patches_kernel.h"
#endif
