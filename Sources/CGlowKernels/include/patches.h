// The neighborhoods of a 3×3 convolution as the rows of matrices, and back, of one picture or a band of its rows.
//
// Pictures are NHWC. A patch row holds the neighborhood of one position, zero outside of the picture, in the order
// (dy, dx, channel): 9·channels values.

#ifndef GLOW_PATCHES_H
#define GLOW_PATCHES_H

#include "products.h"

typedef struct {
  /// Of the picture, and the rows of it that the band has.
  intptr_t height, width, first_row, rows;
  intptr_t channels;
  /// From a position's patch row to the next one's.
  intptr_t row_step;
} glow_band;

/// Copies the band with a border of one position all round, zero outside of the picture: [rows + 2, width + 2, channels].
/// In it the three neighbors of one dy lie side by side, so that a patch is three runs.
///
/// - picture: the whole picture, positions `stride` values apart, of which the first `channels` are read.
void glow_border(
    const glow_band *band, const float *picture, intptr_t stride, float *bordered, glow_instructions instructions);

/// im2col: writes the patch rows of the positions of a bordered band.
void glow_gather_patches(
    const glow_band *band, const float *bordered, float *patches, glow_instructions instructions);

/// col2im: each position of the band gets the sum, in the order of the positions around it, of what their patch rows
/// have for it, and the bias of its border class; in planes [planes, positions of the band, channels/planes].
///
/// - patches: of the whole picture; only those of the band and of its two neighboring rows are read.
/// - scratch: of `channels` values.
/// - bias: [16, channels]: 1 first row, 2 last row, 4 first column, 8 last column of the picture.
void glow_collect_patches(
    const glow_band *band, const float *patches, const float *bias, intptr_t planes, float *scratch,
    float *collected, glow_instructions instructions);

/// col2im whose sums are added to the band's positions, `stride` values apart.
void glow_add_patches(
    const glow_band *band, const float *patches, float *positions, intptr_t stride,
    glow_instructions instructions);

#endif
