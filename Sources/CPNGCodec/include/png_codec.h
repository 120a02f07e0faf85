#ifndef PNG_CODEC_H
#define PNG_CODEC_H

#include <stddef.h>
#include <stdint.h>

// PNG between bytes in memory and rows of 8-bit gray or RGB. libpng reports errors by longjmp, which stays
// within these functions: they return 0, or -1 with libpng's words in `message`.

#define PNG_CODEC_MAXIMUM_SIDE 16384
#define PNG_CODEC_MESSAGE_SIZE 256

typedef struct {
  uint32_t width;
  uint32_t height;
  // Once decoded: 1 (gray) or 3 (RGB).
  uint32_t channels;
  // Bits of a value in the file.
  uint32_t depth;
  // Not 0 if there is an alpha channel or a transparent color.
  int has_alpha;
  // One row before decompression takes this many bytes in the file's own depth, without its filter byte.
  size_t stored_row_bytes;
} png_codec_header;

int png_codec_read_header(const uint8_t *bytes, size_t count, png_codec_header *header, char *message);

// `capacity` must be height * width * channels of the header, or * (channels + 1) if alpha is kept as the last channel.
// `*largest` becomes the largest value of a file of 16 bits, alpha apart, else 0.
int png_codec_decode(
  const uint8_t *bytes, size_t count, int keeps_alpha, uint8_t *pixels, size_t capacity, uint32_t *largest,
  char *message);

// On success `*bytes` is to be released with png_codec_free.
int png_codec_encode(
  const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t channels, int level, uint8_t **bytes,
  size_t *count, char *message);

void png_codec_free(uint8_t *bytes);

#endif
