// Small matrix products whose right side has been packed beforehand.
//
// Every value of C is defined exactly: the chain of fused multiply-adds over the inner dimension, in order, from its start
// on. So it depends neither on the blocking nor on the processor.

#ifndef GLOW_PRODUCTS_H
#define GLOW_PRODUCTS_H

#include <stdint.h>

/// Columns of a packed panel. Panel p holds columns 16·p … 16·p + 15 as [inner, 16], with zeros beyond the last.
enum { glow_panel_columns = 16 };

/// What a processor can do, from the least on.
typedef enum {
  glow_instructions_none = 0,
  glow_instructions_avx2 = 1,
  glow_instructions_avx512 = 2,
} glow_instructions;

/// Rows that are not side by side: those of a convolution's neighborhoods, read where they are (`glow_border`).
///
/// A row is `segments` runs of equally many values, the starts of which are `segment_step` apart. Rows follow each other as
/// those of a matrix do, but with the `line_rows`-th from the first of a line a new line begins, `line_step` after the first
/// of the one before. All zero: a matrix.
typedef struct {
  intptr_t segments, segment_step;
  intptr_t line_rows, line_step;
  /// Rows of the first line that come before the first row.
  intptr_t line_start;
} glow_neighborhoods;

/// C = finish(start + A·B), where C overlaps nothing else, with A [rows × inner], B [inner × columns] and C [rows × columns].
typedef struct {
  intptr_t rows, inner, columns;
  /// Value (i, k) of A is a[i·a_row + k].
  const float *a;
  intptr_t a_row;
  /// Of A; `a` is the first row of the first line.
  glow_neighborhoods neighborhoods;
  /// Packed panels.
  const float *b;
  float *c;
  intptr_t c_row;
  /// Whether the chains start with the values of C instead of zero.
  int accumulate;
  /// If not null, is added to the start: one of several biases of class_stride values.
  const float *bias;
  /// Row i is of class classes[i / rows_per_class], which says its bias and its sum; null if all are of class 0.
  const uint8_t *classes;
  intptr_t rows_per_class;
  intptr_t class_stride;
  /// Whether values below zero become zero.
  int rectify;
  /// If not null, C becomes zero where these are zero or less; where they are not numbers it stays.
  const float *activations;
  intptr_t activation_row;
  /// If not null, the rows of C are added to the sum of their class, in order.
  float *sums;
} glow_product;

/// The most that this processor can do.
glow_instructions glow_best_instructions(void);

/// Values of a packed matrix.
intptr_t glow_packed_count(intptr_t inner, intptr_t columns);

/// Packs B, whose value (k, j) is b[k·b_inner + j·b_column].
void glow_pack(
    const float *b, intptr_t b_inner, intptr_t b_column, intptr_t inner, intptr_t columns, float *panels);

/// - instructions: those of `glow_best_instructions` or fewer, but not none.
void glow_multiply(const glow_product *product, glow_instructions instructions);

/// C = Aᵀ·B, or C + Aᵀ·B, of which nothing has been packed: A is [inner × rows], B [inner × columns].
typedef struct {
  intptr_t rows, inner, columns;
  const float *a;
  intptr_t a_row;
  /// Of A; `a` is the first row of the first line.
  glow_neighborhoods neighborhoods;
  const float *b;
  intptr_t b_row;
  float *c;
  intptr_t c_row;
  int accumulate;
} glow_gradient;

/// Rows of B, at most, that are packed at a time.
enum { glow_gradient_rows = 256 };

/// - scratch: `glow_packed_count(min(inner, glow_gradient_rows), columns)` values.
void glow_add_gradient(const glow_gradient *gradient, float *scratch, glow_instructions instructions);

/// Multiplies and adds in the registers alone, `repetitions` times: what no product can exceed.
///
/// Returns the multiply-adds done.
double glow_multiply_adds(long repetitions, glow_instructions instructions);

#endif
