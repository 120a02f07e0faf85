#include "products.h"

#include <stddef.h>

#include "variants.h"

#if defined(__x86_64__)
glow_instructions glow_best_instructions(void) {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f")) return glow_instructions_avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return glow_instructions_avx2;
  return glow_instructions_none;
}

void glow_multiply(const glow_product *product, glow_instructions instructions) {
  if (instructions == glow_instructions_avx512) {
    glow_multiply_avx512(product);
  } else {
    glow_multiply_avx2(product);
  }
}

void glow_add_gradient(const glow_gradient *gradient, float *scratch, glow_instructions instructions) {
  if (instructions == glow_instructions_avx512) {
    glow_add_gradient_avx512(gradient, scratch);
  } else {
    glow_add_gradient_avx2(gradient, scratch);
  }
}

double glow_multiply_adds(long repetitions, glow_instructions instructions) {
  return instructions == glow_instructions_avx512 ? glow_multiply_adds_avx512(repetitions)
                                                  : glow_multiply_adds_avx2(repetitions);
}
#else
glow_instructions glow_best_instructions(void) { return glow_instructions_none; }

void glow_multiply(const glow_product *product, glow_instructions instructions) { __builtin_trap(); }

void glow_add_gradient(const glow_gradient *gradient, float *scratch, glow_instructions instructions) {
  __builtin_trap();
}

double glow_multiply_adds(long repetitions, glow_instructions instructions) { __builtin_trap(); }
#endif

intptr_t glow_packed_count(intptr_t inner, intptr_t columns) {
  return (columns + glow_panel_columns - 1) / glow_panel_columns * glow_panel_columns * inner;
}

void glow_pack(
    const float *b, intptr_t b_inner, intptr_t b_column, intptr_t inner, intptr_t columns, float *panels) {
  for (intptr_t column = 0; column < columns; column += glow_panel_columns) {
    const float *from = b + column * b_column;
    if (columns - column >= glow_panel_columns && b_column == 1) {
      for (intptr_t k = 0; k < inner; ++k, from += b_inner) {
        for (int j = 0; j < glow_panel_columns; ++j) *panels++ = from[j];
      }
    } else if (columns - column >= glow_panel_columns) {
      for (intptr_t k = 0; k < inner; ++k, from += b_inner) {
        for (int j = 0; j < glow_panel_columns; ++j) *panels++ = from[j * b_column];
      }
    } else {
      for (intptr_t k = 0; k < inner; ++k, from += b_inner) {
        for (int j = 0; j < glow_panel_columns; ++j) {
          *panels++ = column + j < columns ? from[j * b_column] : 0;
        }
      }
    }
  }
}
