// Products of a conditioner's shapes on one core: OpenBLAS's, packed ones, and those of other libraries that are there, in
// turns; the best of many short rounds, because other users of a machine come and go.
//
// GFLOP/s; `limit` is what multiply-adds in registers reach. After a product's figure stands what its bits are: `=` where each
// value is the chain of fused multiply-adds over the inner dimension, in order; else `~` where a row comes out the same
// whatever the rows beside it and their number, and `≠` where it does not, as far as the rows that are tried tell. Gradients
// of weights pack both sides on the way.

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "makers.h"
#include "products.h"

void openblas_set_num_threads(int);
char *openblas_get_corename(void);
char *openblas_get_config(void);

int rows, inner, columns;
float *a, *b, *c, *panels;
static float *d, *scratch;

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

static int prepare_nothing(int variant) { return variant == 0; }

static void by_openblas(void) {
  cblas_sgemm(
      CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, columns, inner, 1, a, inner, b, columns, 0, c, columns);
}

static void describe_openblas(void) { puts(openblas_get_config()); }

static const maker openblas = {"OpenBLAS", prepare_nothing, by_openblas, describe_openblas};

static glow_instructions instructions;

static int pack(glow_instructions wanted, int variant) {
  if (variant > 0 || wanted > glow_best_instructions()) return 0;
  instructions = wanted;
  glow_pack(b, columns, 1, inner, columns, panels);
  return 1;
}

static int pack_best(int variant) { return pack(glow_best_instructions(), variant); }

static int pack_avx2(int variant) { return pack(glow_instructions_avx2, variant); }

static void multiply_packed(void) {
  const glow_product product = {
      .rows = rows, .inner = inner, .columns = columns, .a = a, .a_row = inner, .b = panels,
      .c = c, .c_row = columns};
  glow_multiply(&product, instructions);
}

static void describe_packed(void) {
  printf("packed with %s\n", glow_best_instructions() == glow_instructions_avx512 ? "AVX-512" : "AVX2");
}

static const maker packed = {"packed", pack_best, multiply_packed, describe_packed};
static const maker packed_avx2 = {"packed, AVX2", pack_avx2, multiply_packed, NULL};

static void openblas_gradient(void) {
  cblas_sgemm(
      CblasRowMajor, CblasTrans, CblasNoTrans, inner, columns, rows, 1, a, inner, d, columns, 1, c, columns);
}

static void packed_gradient(void) {
  const glow_gradient gradient = {
      .rows = inner, .inner = rows, .columns = columns, .a = a, .a_row = inner, .b = d, .b_row = columns,
      .c = c, .c_row = columns, .accumulate = 1};
  glow_add_gradient(&gradient, scratch, glow_best_instructions());
}

static const maker *const makers[] = {
    &openblas, &packed, &packed_avx2,
#ifdef LIBXSMM
    &libxsmm,
#endif
#ifdef ONEDNN
    &onednn_sgemm, &onednn_matmul,
#endif
    &blis};
enum { count = sizeof makers / sizeof *makers };

static double speed(void (*work)(void)) {
  const double start = now();
  long done = 0;
  double seconds;
  do {
    work();
    ++done;
    seconds = now() - start;
  } while (seconds < 1e-3);
  return 2.0 * rows * inner * columns * done / seconds * 1e-9;
}

static void raise(double *best, double value) {
  if (value > *best) *best = value;
}

// Of rows that fall on different places in blocks of any size.
static int is_chain(void) {
  for (int row = 0; row < rows; row += 1 + rows / 16) {
    for (int column = 0; column < columns; ++column) {
      float chain = 0;
      for (int k = 0; k < inner; ++k) chain = fmaf(a[row * inner + k], b[k * columns + column], chain);
      if (memcmp(&chain, &c[row * columns + column], sizeof chain)) return 0;
    }
  }
  return 1;
}

// Whether rows come out the same without those before and after them.
static int stands_alone(const maker *maker, int variant) {
  const size_t size = (size_t)rows * columns;
  float *all = malloc(size * sizeof *all), *const whole = a;
  const int height = rows;
  int is_same = 1;
  maker->multiply();
  memcpy(all, c, size * sizeof *all);
  for (int skipped = 1; skipped < 4; ++skipped) {
    a = whole + (size_t)skipped * inner;
    rows = height - 2 * skipped;
    is_same &= maker->prepare(variant);
    maker->multiply();
    is_same &= !memcmp(all + (size_t)skipped * columns, c, (size_t)rows * columns * sizeof *c);
  }
  a = whole, rows = height;
  free(all);
  return is_same;
}

static const char *bits(const maker *maker) {
  const char *found = "=";
  for (int variant = 0; maker->prepare(variant); ++variant) {
    maker->multiply();
    if (is_chain()) continue;
    found = "~";
    if (!stands_alone(maker, variant)) return "≠";
  }
  return found;
}

int main(void) {
  static const int shapes[][3] = {
      {1024, 1024, 1024}, {256, 54, 128}, {256, 128, 128}, {256, 128, 216}, {256, 54, 512}, {256, 512, 512},
      {256, 512, 108}, {64, 128, 128}, {64, 512, 512}, {16, 128, 128}, {16, 512, 512}};
  openblas_set_num_threads(1);
  if (glow_best_instructions() == glow_instructions_none) return puts("this processor has no packed products"), 1;
  for (int i = 0; i < count; ++i) if (makers[i]->describe) makers[i]->describe();
  printf("\n| rows × inner × columns | limit |");
  for (int i = 0; i < count; ++i) printf(" %s |", makers[i]->name);
  printf(" gradient: OpenBLAS | packed |\n|---|---|---|---|");
  for (int i = 0; i < count; ++i) printf("---|");
  puts("");
  for (size_t shape = 0; shape < sizeof shapes / sizeof *shapes; ++shape) {
    rows = shapes[shape][0], inner = shapes[shape][1], columns = shapes[shape][2];
    const size_t most = rows > inner ? rows : inner;
    a = values((size_t)rows * inner), b = values((size_t)inner * columns), c = values(most * columns);
    d = values((size_t)rows * columns), panels = values((size_t)inner * (columns + 64));
    scratch = values((size_t)glow_gradient_rows * (columns + 16));
    double limit = 0, best[count] = {0}, gradient_blas = 0, gradient = 0;
    for (int round = 0; round < 25; ++round) {
      const double start = now();
      const double done = glow_multiply_adds(50000, glow_best_instructions());
      raise(&limit, 2 * done / (now() - start) * 1e-9);
      for (int i = 0; i < count; ++i) {
        for (int variant = 0; makers[i]->prepare(variant); ++variant) raise(&best[i], speed(makers[i]->multiply));
      }
      raise(&gradient_blas, speed(openblas_gradient));
      raise(&gradient, speed(packed_gradient));
    }
    printf("| %d×%d×%d | %.0f |", rows, inner, columns, limit);
    for (int i = 0; i < count; ++i) {
      if (best[i] > 0) printf(" %.0f %s |", best[i], bits(makers[i]));
      else printf(" |");
    }
    printf(" %.0f | %.0f |\n", gradient_blas, gradient);
    fflush(stdout);
    free(a), free(b), free(c), free(d), free(panels), free(scratch);
  }
}
