// Values that lie side by side, a few at a time, at any alignment: compiled for each set of instructions anew.
//
// Runs are short (the channels of a position), so their last values go by fours, twos and ones.

#ifndef GLOW_RUNS_H
#define GLOW_RUNS_H

#include <stdint.h>

// A sum of products must not become a fused one, whose bits are others, where the processor has it.
#pragma clang fp contract(off)

typedef float glow_1;
typedef float glow_2 __attribute__((vector_size(8), aligned(4), may_alias));
typedef float glow_4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef float glow_8 __attribute__((vector_size(32), aligned(4), may_alias));

/// The values of a run from one on, as a vector of the type at hand.
#define AT(type, pointer, index) (*(type *)((pointer) + (index)))
#define CONST_AT(type, pointer, index) (*(const type *)((pointer) + (index)))

/// body(type, index) for all of a run, each value once.
#define FOR_RUN(count, body) \
  do { \
    intptr_t index = 0; \
    for (; index + 8 <= (count); index += 8) body(glow_8, index); \
    if (index + 4 <= (count)) { \
      body(glow_4, index); \
      index += 4; \
    } \
    if (index + 2 <= (count)) { \
      body(glow_2, index); \
      index += 2; \
    } \
    if (index < (count)) body(glow_1, index); \
  } while (0)

#endif
