#include <libxsmm.h>
#include <stdio.h>

#include "makers.h"

static int block;
static libxsmm_smmfunction kernel, last_kernel;

// By columns, as LIBXSMM has matrices: C^T [columns × rows] = B^T·A^T, a block of columns at a time.
static void multiply(void) {
  for (int j = 0; j < columns; j += block) {
    const int width = columns - j < block ? columns - j : block;
    (width < block ? last_kernel : kernel)(panels + (size_t)j * inner, a, c + j);
  }
}

static libxsmm_smmfunction dispatch(int width) {
  const float one = 1, zero = 0;
  const int lda = width;
  return libxsmm_smmdispatch(width, rows, inner, &lda, &inner, &columns, &one, &zero, NULL, NULL);
}

static int prepare(int variant) {
  if (variant > 2) return 0;
  block = 16 << variant;
  float *to = panels;
  for (int j = 0; j < columns; j += block) {
    const int own = columns - j < block ? columns - j : block;
    for (int k = 0; k < inner; ++k) {
      for (int i = 0; i < own; ++i) *to++ = b[(size_t)k * columns + j + i];
    }
  }
  kernel = dispatch(block);
  last_kernel = columns % block ? dispatch(columns % block) : kernel;
  return kernel && last_kernel;
}

static void describe(void) { printf("LIBXSMM %s for %s\n", LIBXSMM_VERSION, libxsmm_get_target_arch()); }

const maker libxsmm = {"LIBXSMM", prepare, multiply, describe};
