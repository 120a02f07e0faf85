#ifndef GLOW_PAUSE_H
#define GLOW_PAUSE_H

/// Tells the processor that the thread watches for another's write: it spends less on it, and leaves more to a thread beside.
static inline void glow_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

#endif
