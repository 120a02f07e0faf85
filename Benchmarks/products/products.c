// Products of a conditioner's shapes on one core: OpenBLAS, packed products, and LIBXSMM on weights that are packed the same
// way, in turns; the best of many short rounds, because other users of a machine come and go.
//
// GFLOP/s; `limit` is what multiply-adds in registers reach. Gradients of weights pack both sides on the way.

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "products.h"

#ifdef LIBXSMM
#include <libxsmm.h>
#endif

void openblas_set_num_threads(int);
char *openblas_get_corename(void);

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + 1e-9 * time.tv_nsec;
}

static float *values(size_t count) {
  const size_t bytes = (count * sizeof(float) + (2 << 20)) >> 21 << 21;
  float *result = aligned_alloc(2 << 20, bytes);
  madvise(result, bytes, MADV_HUGEPAGE);
  for (size_t i = 0; i < count; ++i) result[i] = (float)drand48() - 0.5f;
  return result;
}

static int rows, inner, columns;
static float *a, *b, *c, *d, *panels, *scratch;
static glow_instructions instructions;

static void by_openblas(void) {
  cblas_sgemm(
      CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, columns, inner, 1, a, inner, b, columns, 0, c, columns);
}

static void gradient_by_openblas(void) {
  cblas_sgemm(
      CblasRowMajor, CblasTrans, CblasNoTrans, inner, columns, rows, 1, a, inner, d, columns, 1, c, columns);
}

static void packed(void) {
  const glow_product product = {
      .rows = rows, .inner = inner, .columns = columns, .a = a, .a_row = inner, .b = panels,
      .c = c, .c_row = columns};
  glow_multiply(&product, instructions);
}

static void packed_avx2(void) {
  instructions = glow_instructions_avx2;
  packed();
}

static void packed_best(void) {
  instructions = glow_best_instructions();
  packed();
}

static void gradient_packed(void) {
  const glow_gradient gradient = {
      .rows = inner, .inner = rows, .columns = columns, .a = a, .a_row = inner, .b = d, .b_row = columns,
      .c = c, .c_row = columns, .accumulate = 1};
  glow_add_gradient(&gradient, scratch, glow_best_instructions());
}

#ifdef LIBXSMM
static int block;
static libxsmm_smmfunction kernel, last_kernel;

// By columns, as LIBXSMM has matrices: C^T [columns × rows] = B^T·A^T, a block of columns at a time.
static void by_libxsmm(void) {
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

static void prepare_libxsmm(int width) {
  block = width;
  float *to = panels;
  for (int j = 0; j < columns; j += block) {
    const int own = columns - j < block ? columns - j : block;
    for (int k = 0; k < inner; ++k) {
      for (int i = 0; i < own; ++i) *to++ = b[(size_t)k * columns + j + i];
    }
  }
  kernel = dispatch(block);
  last_kernel = columns % block ? dispatch(columns % block) : kernel;
}
#endif

static double speed(void (*work)(void)) {
  const double start = now();
  long count = 0;
  double seconds;
  do {
    work();
    ++count;
    seconds = now() - start;
  } while (seconds < 1e-3);
  return 2.0 * rows * inner * columns * count / seconds * 1e-9;
}

static void raise(double *best, double value) {
  if (value > *best) *best = value;
}

int main(void) {
  static const int shapes[][3] = {
      {1024, 1024, 1024}, {256, 54, 128}, {256, 128, 128}, {256, 128, 216}, {256, 54, 512}, {256, 512, 512},
      {256, 512, 108}, {64, 128, 128}, {64, 512, 512}, {16, 128, 128}, {16, 512, 512}};
  openblas_set_num_threads(1);
  if (glow_best_instructions() == glow_instructions_none) return puts("this processor has no packed products"), 1;
  printf("OpenBLAS for %s; packed with %s\n", openblas_get_corename(),
      glow_best_instructions() == glow_instructions_avx512 ? "AVX-512" : "AVX2");
  printf("rows×inner×columns | limit | OpenBLAS | packed | packed, AVX2 | LIBXSMM (block) | gradient: OpenBLAS | packed\n");
  for (size_t shape = 0; shape < sizeof shapes / sizeof *shapes; ++shape) {
    rows = shapes[shape][0], inner = shapes[shape][1], columns = shapes[shape][2];
    const size_t most = rows > inner ? rows : inner;
    a = values((size_t)rows * inner), b = values((size_t)inner * columns), c = values(most * columns);
    d = values((size_t)rows * columns), panels = values((size_t)inner * (columns + 64));
    scratch = values((size_t)glow_gradient_rows * (columns + 16));
    double limit = 0, blas = 0, best = 0, avx2 = 0, xsmm = 0, gradient_blas = 0, gradient = 0;
    int xsmm_block = 0;
    for (int round = 0; round < 25; ++round) {
      const double start = now();
      const double done = glow_multiply_adds(50000, glow_best_instructions());
      raise(&limit, 2 * done / (now() - start) * 1e-9);
      raise(&blas, speed(by_openblas));
      glow_pack(b, columns, 1, inner, columns, panels);
      raise(&best, speed(packed_best));
      raise(&avx2, speed(packed_avx2));
#ifdef LIBXSMM
      for (int width = 16; width <= 64; width *= 2) {
        prepare_libxsmm(width);
        if (!kernel || !last_kernel) continue;
        const double found = speed(by_libxsmm);
        if (found > xsmm) xsmm = found, xsmm_block = width;
      }
#endif
      raise(&gradient_blas, speed(gradient_by_openblas));
      raise(&gradient, speed(gradient_packed));
    }
    printf("%d×%d×%d | %.0f | %.0f | %.0f | %.0f | %.0f (%d) | %.0f | %.0f\n", rows, inner, columns, limit, blas, best,
        avx2, xsmm, xsmm_block, gradient_blas, gradient);
    fflush(stdout);
    free(a), free(b), free(c), free(d), free(panels), free(scratch);
  }
}
