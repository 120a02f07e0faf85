#ifndef RANKS_H
#define RANKS_H

#include <stdint.h>

// The few functions of Open MPI that processes which work together need. Its constants are macros with casts, which
// Swift does not import, and its library is loaded at run time. One thread at a time makes calls (MPI_THREAD_SERIALIZED).
// What fails within MPI ends all processes, as MPI has it by default.

#define RANKS_MESSAGE_SIZE 512

// Whether this was built with Open MPI's header.
int ranks_are_supported(void);

// Loads the library, and begins. 0, or -1 with the reason in `message`.
int ranks_join(int *rank, int *count, char *message);

// all[r * count + i] = own[i] of rank r. Gives up after so many seconds, if `limit` is not negative, and returns -1.
int ranks_gather_words(const int64_t *own, int count, int64_t *all, double limit);

// The bytes of all ranks, `counts` and `offsets` of each.
void ranks_gather_bytes(const uint8_t *own, uint8_t *all, const int *counts, const int *offsets, int rank);

// Values are exchanged beside other work, to which who waits for them leaves the processor; but not while `is_waiting` says
// that nothing is left to do but to wait, as another thread may.
void ranks_await(int is_waiting);

// What each rank has for each: rank r gets sent[offsets[r]...], and received[offsets[r]...] comes from it.
void ranks_exchange_values(
  const float *sent, const int *sent_counts, const int *sent_offsets, float *received, const int *received_counts,
  const int *received_offsets);

// values[offsets[r]...] of rank r becomes everybody's.
void ranks_gather_values(float *values, const int *counts, const int *offsets);

// Waits for the others, and ends.
void ranks_leave(void);

// Ends all processes, now.
void ranks_abort(int status);

#endif
