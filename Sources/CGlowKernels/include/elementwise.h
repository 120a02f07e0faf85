// What happens to each value by itself. Every result is made of single operations, each rounded, in an order that is the
// same for all sets of instructions.

#ifndef GLOW_ELEMENTWISE_H
#define GLOW_ELEMENTWISE_H

#include "products.h"

/// sums += values
void glow_add(float *sums, const float *values, intptr_t count, glow_instructions instructions);

/// sum ← Σ parts[p, :] of at least one part, in their order; parts lie `stride` values apart.
void glow_add_parts(
    const float *parts, intptr_t count, intptr_t stride, float *sum, intptr_t values, glow_instructions instructions);

/// Rows of weights as they are stored, and scaled.
typedef struct {
  intptr_t rows;
  /// Of stored rows, value c·planes + p belongs to channel c of plane p; of the others one plane comes after the other. There
  /// are one or two planes.
  intptr_t channels, planes;
  /// [planes, channels]
  const float *factors;
  /// Rows that lie `stored_step` and `scaled_step` values apart.
  float *stored;
  intptr_t stored_step;
  float *scaled;
  intptr_t scaled_step;
} glow_scaling;

/// scaled ← stored·factors
void glow_scale(const glow_scaling *scaling, glow_instructions instructions);

/// The backward, given the gradient of what is scaled, in rows like its own: factor_sums += gradient·scaled, [planes, channels];
/// and stored ← gradient·factors, or stored += gradient·factors.
void glow_scale_backward(
    const glow_scaling *scaling, const float *gradient, float *factor_sums, int accumulate,
    glow_instructions instructions);

/// values ← exp(sign·values)
void glow_exponentials(float *values, float sign, intptr_t count, glow_instructions instructions);

/// values ← sigmoid(max(values + 2, least)), of at most 512 values.
///
/// In eight lanes, −ln of the results is negative + ln product: the sum of the parts of the arguments that are below zero,
/// and the product of 1 + e^−|x|.
void glow_sigmoids(
    float *values, float least, intptr_t count, float *negative, float *product, glow_instructions instructions);

/// Values in rows that lie `stride` values apart.
typedef struct {
  float *values;
  intptr_t rows, columns, stride;
} glow_rows;

/// z ← (z + shift)·scale; shift and scale have no gaps.
void glow_shift_and_scale(glow_rows z, const float *shift, const float *scale, glow_instructions instructions);

/// z ← z/scale − shift
void glow_undo_shift_and_scale(
    glow_rows z, const float *shift, const float *scale, glow_instructions instructions);

/// The backward of a shift and a scale that is a sigmoid: from dy to dz = dy·scale, in its place, and
/// [dz | (dy·y + logdet_gradient)·(1 − scale)], whose second half is 0 where the scale is not above its floor.
void glow_affine_backward(
    glow_rows dy, glow_rows y, const float *scale, float floor, float logdet_gradient, glow_rows output_gradient,
    glow_instructions instructions);

/// An update of parameters: their gradient and moments, and their moving average or null.
typedef struct {
  float *values;
  const float *gradients;
  float *first, *second, *average;
  /// Of the gradient.
  float scale;
  /// How much of the moments is kept, and how much of the new is taken.
  float keep_first, take_first, keep_second, take_second;
  float rate, epsilon;
  /// How much of the values is kept besides the update: below 1 where weights decay.
  float keep_value;
  float keep_average, take_average;
} glow_update;

void glow_adamax(const glow_update *update, intptr_t first, intptr_t count, glow_instructions instructions);
void glow_adam(const glow_update *update, intptr_t first, intptr_t count, glow_instructions instructions);

/// Adds the squares of whole vectors of eight values to sums in eight lanes.
void glow_add_squares(
    const float *values, intptr_t vectors, double *sums, glow_instructions instructions);

#endif
