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

/// Four neighboring values, at any alignment.
typedef float four __attribute__((vector_size(16), aligned(4), may_alias));

/// Writes a whole panel of a transpose, whose columns lie in memory from one on, `column` values apart; by squares of four.
static void pack_transpose(const float *from, intptr_t column, intptr_t inner, float *panel) {
  const intptr_t whole = inner / 4 * 4;
  for (intptr_t k = 0; k < whole; k += 4) {
    for (int j = 0; j < glow_panel_columns; j += 4) {
      const float *corner = from + j * column + k;
      const four a = *(const four *)corner, b = *(const four *)(corner + column);
      const four c = *(const four *)(corner + 2 * column), d = *(const four *)(corner + 3 * column);
      const four ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
      const four cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
      float *to = panel + k * glow_panel_columns + j;
      *(four *)to = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
      *(four *)(to + glow_panel_columns) = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
      *(four *)(to + 2 * glow_panel_columns) = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
      *(four *)(to + 3 * glow_panel_columns) = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
    }
  }
  for (intptr_t k = whole; k < inner; ++k) {
    for (int j = 0; j < glow_panel_columns; ++j) panel[k * glow_panel_columns + j] = from[j * column + k];
  }
}

void glow_pack(
    const float *b, intptr_t b_inner, intptr_t b_column, intptr_t inner, intptr_t columns, float *panels) {
  for (intptr_t column = 0; column < columns; column += glow_panel_columns) {
    const float *from = b + column * b_column;
    if (columns - column >= glow_panel_columns && b_column == 1) {
      for (intptr_t k = 0; k < inner; ++k, from += b_inner, panels += glow_panel_columns) {
        for (int j = 0; j < glow_panel_columns; j += 4) *(four *)(panels + j) = *(const four *)(from + j);
      }
    } else if (columns - column >= glow_panel_columns && b_inner == 1) {
      pack_transpose(from, b_column, inner, panels);
      panels += glow_panel_columns * inner;
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
