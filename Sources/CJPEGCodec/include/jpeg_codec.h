#ifndef JPEG_CODEC_H
#define JPEG_CODEC_H

#include <stddef.h>
#include <stdint.h>

// JPEG in memory to rows of 8-bit samples. libjpeg reports errors by a function that must not return, hence by longjmp,
// which stays within these functions: they return 0, or -1 with libjpeg's words in `message`.

#define JPEG_CODEC_MESSAGE_SIZE 256

typedef struct {
  uint32_t width;
  uint32_t height;
  // Once decoded: 1 (gray), 3 (RGB) or 4 (inks).
  uint32_t channels;
} jpeg_codec_header;

int jpeg_codec_read_header(const uint8_t *bytes, size_t count, jpeg_codec_header *header, char *message);

// `capacity` must be height * width * channels of the header. What is damaged is refused, even where libjpeg would only
// warn and make pixels up.
int jpeg_codec_decode(const uint8_t *bytes, size_t count, uint8_t *pixels, size_t capacity, char *message);

#endif
