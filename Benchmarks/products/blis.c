#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>

#include "makers.h"

typedef int64_t number;
typedef void gemm(
    int transpose_a, int transpose_b, number m, number n, number k, const float *alpha, const float *a, number a_row,
    number a_column, const float *b, number b_row, number b_column, const float *beta, float *c, number c_row,
    number c_column);

static gemm *bli_sgemm;

// Nothing of it is seen by others, which have functions of the same names.
static void *find(const char *name) {
  static void *library;
  if (!library) library = dlopen("libblis.so.4", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  return library ? dlsym(library, name) : NULL;
}

static int prepare(int variant) {
  if (!bli_sgemm) bli_sgemm = (gemm *)find("bli_sgemm");
  return bli_sgemm && variant == 0;
}

static void multiply(void) {
  const float one = 1, zero = 0;
  bli_sgemm(0, 0, rows, columns, inner, &one, a, inner, 1, b, columns, 1, &zero, c, columns, 1);
}

static void describe(void) {
  const char *(*version)(void) = (const char *(*)(void))find("bli_info_get_version_str");
  int (*id)(void) = (int (*)(void))find("bli_arch_query_id");
  const char *(*name)(int) = (const char *(*)(int))find("bli_arch_string");
  if (version && id && name) printf("BLIS %s for %s (BLIS_ARCH_TYPE chooses)\n", version(), name(id()));
}

const maker blis = {"BLIS", prepare, multiply, describe};
