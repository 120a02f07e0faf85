// The product for each set of instructions.

#ifndef GLOW_VARIANTS_H
#define GLOW_VARIANTS_H

#include "products.h"

void glow_multiply_avx2(const glow_product *product);
void glow_multiply_avx512(const glow_product *product);
double glow_multiply_adds_avx2(long repetitions);
double glow_multiply_adds_avx512(long repetitions);
void glow_add_gradient_avx2(const glow_gradient *gradient, float *scratch);
void glow_add_gradient_avx512(const glow_gradient *gradient, float *scratch);

#endif
