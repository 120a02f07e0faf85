// The functions of elementwise.h and patches.h, for the processor at hand. AVX-512 would add nothing: runs are short, and
// long ones wait for memory.

#include "elementwise.h"
#include "patches.h"

#if defined(__x86_64__)
#define CHOOSE(name, ...) \
  do { \
    if (instructions >= glow_instructions_avx2) { \
      name##_avx2(__VA_ARGS__); \
    } else { \
      name##_baseline(__VA_ARGS__); \
    } \
  } while (0)
#else
#define CHOOSE(name, ...) name##_baseline(__VA_ARGS__)
#endif

/// A function, from those for each set of instructions.
#define FUNCTION(name, parameters, ...) \
  void name##_baseline(GLOW_LIST parameters); \
  void name##_avx2(GLOW_LIST parameters); \
  void name(GLOW_LIST parameters, glow_instructions instructions) { CHOOSE(name, __VA_ARGS__); }
#define GLOW_LIST(...) __VA_ARGS__

FUNCTION(glow_add, (float *sums, const float *values, intptr_t count), sums, values, count)
FUNCTION(
    glow_add_parts, (const float *parts, intptr_t count, intptr_t stride, float *sum, intptr_t values),
    parts, count, stride, sum, values)
FUNCTION(glow_scale, (const glow_scaling *scaling), scaling)
FUNCTION(
    glow_scale_backward,
    (const glow_scaling *scaling, const float *gradient, float *factor_sums, int accumulate),
    scaling, gradient, factor_sums, accumulate)
FUNCTION(glow_exponentials, (float *values, float sign, intptr_t count), values, sign, count)
FUNCTION(
    glow_sigmoids, (float *values, float least, intptr_t count, float *negative, float *product),
    values, least, count, negative, product)
FUNCTION(glow_shift_and_scale, (glow_rows z, const float *shift, const float *scale), z, shift, scale)
FUNCTION(glow_undo_shift_and_scale, (glow_rows z, const float *shift, const float *scale), z, shift, scale)
FUNCTION(
    glow_affine_backward,
    (glow_rows dy, glow_rows y, const float *scale, float floor, float logdet_gradient, glow_rows output_gradient),
    dy, y, scale, floor, logdet_gradient, output_gradient)
FUNCTION(glow_adamax, (const glow_update *update, intptr_t first, intptr_t count), update, first, count)
FUNCTION(glow_adam, (const glow_update *update, intptr_t first, intptr_t count), update, first, count)
FUNCTION(glow_add_squares, (const float *values, intptr_t vectors, double *sums), values, vectors, sums)
FUNCTION(
    glow_border, (const glow_band *band, const float *picture, intptr_t stride, float *bordered),
    band, picture, stride, bordered)
FUNCTION(
    glow_gather_patches, (const glow_band *band, const float *bordered, float *patches), band, bordered, patches)
FUNCTION(
    glow_collect_patches,
    (const glow_band *band, const float *patches, const float *bias, intptr_t planes, float *scratch, float *collected),
    band, patches, bias, planes, scratch, collected)
FUNCTION(
    glow_add_patches, (const glow_band *band, const float *patches, float *positions, intptr_t stride),
    band, patches, positions, stride)
