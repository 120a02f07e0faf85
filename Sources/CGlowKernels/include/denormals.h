// Processors are slow with numbers too small to be normal. A thread that works on activations and moments,
// many of which decay towards zero, takes them for zero.

#ifndef GLOW_DENORMALS_H
#define GLOW_DENORMALS_H

#include <stdint.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

/// Takes denormal arguments and results of this thread for zero from now on.
///
/// Returns what `glow_restore_denormals` needs to undo it.
static inline uint64_t glow_flush_denormals(void) {
#if defined(__x86_64__)
  unsigned before = _mm_getcsr();
  _mm_setcsr(before | 0x8040);  // FTZ and DAZ
  return before;
#elif defined(__aarch64__)
  uint64_t before;
  __asm__ volatile("mrs %0, fpcr" : "=r"(before));
  __asm__ volatile("msr fpcr, %0" : : "r"(before | (UINT64_C(1) << 24)));  // FZ
  return before;
#else
  return 0;
#endif
}

static inline void glow_restore_denormals(uint64_t before) {
#if defined(__x86_64__)
  _mm_setcsr((unsigned)before);
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" : : "r"(before));
#else
  (void)before;
#endif
}

#endif
