// Which processors a thread may run on: the C library does not show it to Swift.

#ifndef GLOW_AFFINITY_H
#define GLOW_AFFINITY_H

#include <pthread.h>
#include <stdint.h>

/// Writes the numbers of the processors on which this thread may run, in order, `most` of them at most.
///
/// Returns how many there are, or -1 if the system does not say.
intptr_t glow_allowed_processors(int *processors, intptr_t most);

/// From now on a thread runs on one processor alone. Returns 0, or an error number.
int glow_pin(pthread_t thread, int processor);

#endif
