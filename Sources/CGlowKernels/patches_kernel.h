// Gathering and collecting neighborhoods, for one set of instructions.

#include <string.h>

#include "patches.h"
#include "runs.h"

TARGET static inline __attribute__((always_inline)) void NAME(copy_run)(
    const float *from, intptr_t count, float *to) {
#define COPY(type, i) AT(type, to, i) = CONST_AT(type, from, i)
  FOR_RUN(count, COPY);
#undef COPY
}

TARGET void NAME(glow_border)(const glow_band *band, const float *picture, intptr_t stride, float *bordered) {
  const intptr_t channels = band->channels, width = band->width;
  const intptr_t line = (width + 2) * channels;
  for (intptr_t row = 0; row < band->rows + 2; ++row) {
    float *to = bordered + row * line;
    const intptr_t source = band->first_row + row - 1;
    if (source < 0 || source >= band->height) {
      memset(to, 0, line * sizeof(float));
      continue;
    }
    memset(to, 0, channels * sizeof(float));
    memset(to + line - channels, 0, channels * sizeof(float));
    const float *from = picture + source * width * stride;
    for (intptr_t column = 0; column < width; ++column) {
      NAME(copy_run)(from + column * stride, channels, to + (column + 1) * channels);
    }
  }
}

TARGET void NAME(glow_gather_patches)(const glow_band *band, const float *bordered, float *patches) {
  const intptr_t channels = band->channels;
  const intptr_t line = (band->width + 2) * channels, run = 3 * channels;
  for (intptr_t row = 0; row < band->rows; ++row) {
    for (intptr_t column = 0; column < band->width; ++column) {
      const float *from = bordered + row * line + column * channels;
      for (int dy = 0; dy < 3; ++dy) NAME(copy_run)(from + dy * line, run, patches + dy * run);
      patches += band->row_step * 9 * channels;
    }
  }
}

/// Of the nine neighbors of a position those that exist: how far their patch row's part for it lies from its own patch row.
typedef struct {
  int count, class;
  intptr_t offsets[9];
} NAME(neighbors);

TARGET static inline __attribute__((always_inline)) void NAME(find_neighbors)(
    const glow_band *band, intptr_t row, intptr_t column, NAME(neighbors) *neighbors) {
  const int class = (row == 0 ? 1 : 0) + (row == band->height - 1 ? 2 : 0) + (column == 0 ? 4 : 0) +
                    (column == band->width - 1 ? 8 : 0);
  if (class == neighbors->class) return;
  neighbors->class = class;
  neighbors->count = 0;
  for (intptr_t dy = row == 0 ? 0 : -1; dy <= (row == band->height - 1 ? 0 : 1); ++dy) {
    for (intptr_t dx = column == 0 ? 0 : -1; dx <= (column == band->width - 1 ? 0 : 1); ++dx) {
      const intptr_t place = (dy * band->width + dx) * band->row_step * 9 + (1 - dy) * 3 + 1 - dx;
      neighbors->offsets[neighbors->count++] = place * band->channels;
    }
  }
}

/// to ← start + Σ of `count` neighbors' values for a position, one neighbor after the other from zero on, as if each added
/// its patch to a picture of zeros.
TARGET static inline __attribute__((always_inline)) void NAME(sum_neighbors)(
    const int count, const float *row, const intptr_t *offsets, intptr_t channels, const float *start, float *to) {
#define SUM(type, i) \
  { \
    type sum = CONST_AT(type, row, offsets[0] + (i)) + 0.0f; \
    for (int n = 1; n < count; ++n) sum += CONST_AT(type, row, offsets[n] + (i)); \
    AT(type, to, i) = CONST_AT(type, start, i) + sum; \
  }
  FOR_RUN(channels, SUM);
#undef SUM
}

TARGET static inline __attribute__((always_inline)) void NAME(sum)(
    const NAME(neighbors) *neighbors, const float *row, intptr_t channels, const float *start, float *to) {
  // Most positions have all neighbors, for which the loop is unrolled.
  if (neighbors->count == 9) {
    NAME(sum_neighbors)(9, row, neighbors->offsets, channels, start, to);
  } else {
    NAME(sum_neighbors)(neighbors->count, row, neighbors->offsets, channels, start, to);
  }
}

TARGET void NAME(glow_collect_patches)(
    const glow_band *band, const float *patches, const float *bias, intptr_t planes, float *scratch, float *collected) {
  const intptr_t channels = band->channels / planes;
  const intptr_t plane_size = band->rows * band->width * channels;
  NAME(neighbors) neighbors = {.class = -1};
  for (intptr_t y = band->first_row; y < band->first_row + band->rows; ++y) {
    for (intptr_t x = 0; x < band->width; ++x) {
      NAME(find_neighbors)(band, y, x, &neighbors);
      const float *row = patches + (y * band->width + x) * band->row_step * 9 * band->channels;
      const float *start = bias + neighbors.class * band->channels;
      if (planes == 1) {
        NAME(sum)(&neighbors, row, channels, start, collected);
      } else {
        NAME(sum)(&neighbors, row, band->channels, start, scratch);
        for (intptr_t plane = 0; plane < planes; ++plane) {
          NAME(copy_run)(scratch + plane * channels, channels, collected + plane * plane_size);
        }
      }
      collected += channels;
    }
  }
}

TARGET void NAME(glow_add_patches)(
    const glow_band *band, const float *patches, float *positions, intptr_t stride) {
  NAME(neighbors) neighbors = {.class = -1};
  for (intptr_t y = band->first_row; y < band->first_row + band->rows; ++y) {
    for (intptr_t x = 0; x < band->width; ++x) {
      NAME(find_neighbors)(band, y, x, &neighbors);
      const float *row = patches + (y * band->width + x) * band->row_step * 9 * band->channels;
      NAME(sum)(&neighbors, row, band->channels, positions, positions);
      positions += stride;
    }
  }
}
