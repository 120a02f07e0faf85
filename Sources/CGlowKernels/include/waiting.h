#ifndef GLOW_WAITING_H
#define GLOW_WAITING_H

#include <stdint.h>

/// Tells the processor that the thread watches for another's write: it spends less on it, and leaves more to a thread beside.
static inline void glow_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/// Sleeps until `glow_wake_all`, but not if the lower half of `*word` is no longer that of `value`. May return earlier.
void glow_sleep_while(const void *word, int64_t value);

/// Wakes all threads that sleep on `word`.
void glow_wake_all(const void *word);

#endif
