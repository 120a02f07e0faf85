#define _GNU_SOURCE
#include "affinity.h"

#include <sched.h>
#include <string.h>

// More than `cpu_set_t` holds: the system refuses a set that is smaller than its own.
enum { known = 1 << 14 };
typedef struct {
  cpu_set_t parts[known / CPU_SETSIZE];
} processor_set;

intptr_t glow_allowed_processors(int *processors, intptr_t most) {
  processor_set set;
  memset(&set, 0, sizeof set);
  if (sched_getaffinity(0, sizeof set, set.parts)) return -1;
  intptr_t count = 0;
  for (int processor = 0; processor < known; ++processor) {
    if (!CPU_ISSET_S(processor, sizeof set, set.parts)) continue;
    if (count < most) processors[count] = processor;
    ++count;
  }
  return count;
}

int glow_pin(pthread_t thread, int processor) {
  if (processor < 0 || processor >= known) return -1;
  processor_set set;
  memset(&set, 0, sizeof set);
  CPU_SET_S(processor, sizeof set, set.parts);
  return pthread_setaffinity_np(thread, sizeof set, set.parts);
}
