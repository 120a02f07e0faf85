#include "ranks.h"

#include "../../Modules/CMPI/shim.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#ifdef OPEN_MPI

static struct {
  __typeof__(&MPI_Init_thread) init;
  __typeof__(&MPI_Comm_rank) rank;
  __typeof__(&MPI_Comm_size) size;
  __typeof__(&MPI_Iallgather) begin_gather;
  __typeof__(&MPI_Test) test;
  __typeof__(&MPI_Allgatherv) gather;
  __typeof__(&MPI_Ialltoallv) begin_exchange;
  __typeof__(&MPI_Iallgatherv) begin_gather_values;
  __typeof__(&MPI_Finalize) finalize;
  __typeof__(&MPI_Abort) abort;
  MPI_Comm world;
  MPI_Datatype byte, word, value;
} mpi;

int ranks_are_supported(void) { return 1; }

static int load(void **function, void *library, const char *name, char *message) {
  *function = dlsym(library, name);
  if (*function) return 0;
  snprintf(message, RANKS_MESSAGE_SIZE, "Open MPI's library has no %s", name);
  return -1;
}

int ranks_join(int *rank, int *count, char *message) {
  // That of Open MPI 2 to 5. Its plug-ins look for its names among those of the whole process.
  void *library = dlopen("libmpi.so.40", RTLD_NOW | RTLD_GLOBAL);
  if (!library) {
    snprintf(message, RANKS_MESSAGE_SIZE, "Open MPI cannot be loaded: %s", dlerror());
    return -1;
  }
  const struct {
    void *place;
    const char *name;
  } needed[] = {
    {&mpi.init, "MPI_Init_thread"},
    {&mpi.rank, "MPI_Comm_rank"},
    {&mpi.size, "MPI_Comm_size"},
    {&mpi.begin_gather, "MPI_Iallgather"},
    {&mpi.test, "MPI_Test"},
    {&mpi.gather, "MPI_Allgatherv"},
    {&mpi.begin_exchange, "MPI_Ialltoallv"},
    {&mpi.begin_gather_values, "MPI_Iallgatherv"},
    {&mpi.finalize, "MPI_Finalize"},
    {&mpi.abort, "MPI_Abort"},
    {&mpi.world, "ompi_mpi_comm_world"},
    {&mpi.byte, "ompi_mpi_byte"},
    {&mpi.word, "ompi_mpi_int64_t"},
    {&mpi.value, "ompi_mpi_float"},
  };
  for (size_t index = 0; index < sizeof needed / sizeof *needed; index++) {
    if (load(needed[index].place, library, needed[index].name, message)) return -1;
  }
  // Its handlers of crashes would print pages; the command has its own.
  setenv("OMPI_MCA_opal_signal", "", 0);
  int provided;
  if (mpi.init(NULL, NULL, MPI_THREAD_SERIALIZED, &provided) || mpi.rank(mpi.world, rank) || mpi.size(mpi.world, count)) {
    snprintf(message, RANKS_MESSAGE_SIZE, "Open MPI cannot begin");
    return -1;
  }
  if (provided < MPI_THREAD_SERIALIZED && *count > 1) {
    snprintf(message, RANKS_MESSAGE_SIZE, "this Open MPI was built without threads");
    return -1;
  }
  return 0;
}

static double seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

// Whether a thread has nothing to do until an exchange has ended.
static atomic_bool is_awaited;
static const double shortest_pause = 50e-6;

void ranks_await(int is_waiting) { atomic_store(&is_awaited, is_waiting); }

// Waits for the end of what has begun; -1 after so many seconds, if `limit` is not negative. After so many tries it leaves
// the processor to others in between. Those that work meanwhile do not want to be interrupted twenty thousand times a second:
// the longer it takes, the longer are the pauses, if they may be.
static int finish(MPI_Request *request, int tries, double longest, double limit) {
  const double begin = seconds();
  for (int done = 0;; tries--) {
    mpi.test(request, &done, MPI_STATUS_IGNORE);
    if (done) return 0;
    const double elapsed = seconds() - begin;
    if (limit >= 0 && elapsed > limit) return -1;
    if (tries > 0) continue;
    double pause = elapsed / 8 < longest ? elapsed / 8 : longest;
    if (pause < shortest_pause || atomic_load(&is_awaited)) pause = shortest_pause;
    nanosleep(&(struct timespec){0, (long)(pause * 1e9)}, NULL);
  }
}

int ranks_gather_words(const int64_t *own, int count, int64_t *all, double limit) {
  // Of each kind one call, whatever the limit: MPI does not match those that wait with those that do not.
  MPI_Request request;
  mpi.begin_gather(own, count, mpi.word, all, count, mpi.word, mpi.world, &request);
  // The others are here within microseconds, or they wait for the disk of rank 0 or the images of another one.
  return finish(&request, 2000, shortest_pause, limit);
}

void ranks_gather_bytes(const uint8_t *own, uint8_t *all, const int *counts, const int *offsets, int rank) {
  mpi.gather(own, counts[rank], mpi.byte, all, counts, offsets, mpi.byte, mpi.world);
}

void ranks_exchange_values(
  const float *sent, const int *sent_counts, const int *sent_offsets, float *received, const int *received_counts,
  const int *received_offsets) {
  MPI_Request request;
  mpi.begin_exchange(
    sent, sent_counts, sent_offsets, mpi.value, received, received_counts, received_offsets, mpi.value, mpi.world,
    &request);
  finish(&request, 0, 1e-3, -1);
}

void ranks_gather_values(float *values, const int *counts, const int *offsets) {
  MPI_Request request;
  mpi.begin_gather_values(MPI_IN_PLACE, 0, mpi.value, values, counts, offsets, mpi.value, mpi.world, &request);
  finish(&request, 0, 1e-3, -1);
}

void ranks_leave(void) { mpi.finalize(); }

void ranks_abort(int status) { mpi.abort(mpi.world, status); }

#else

int ranks_are_supported(void) { return 0; }

int ranks_join(int *rank, int *count, char *message) {
  (void)rank, (void)count;
  snprintf(message, RANKS_MESSAGE_SIZE, "this command was built without Open MPI");
  return -1;
}

// Nobody gets here: there is no other rank.
int ranks_gather_words(const int64_t *own, int count, int64_t *all, double limit) { abort(); }
void ranks_gather_bytes(const uint8_t *own, uint8_t *all, const int *counts, const int *offsets, int rank) { abort(); }
void ranks_exchange_values(
  const float *sent, const int *sent_counts, const int *sent_offsets, float *received, const int *received_counts,
  const int *received_offsets) {
  abort();
}
void ranks_gather_values(float *values, const int *counts, const int *offsets) { abort(); }
void ranks_await(int is_waiting) { (void)is_waiting; }
void ranks_leave(void) { abort(); }
void ranks_abort(int status) { abort(); }

#endif
