#include "png_codec.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Errors.

typedef struct {
  char *message;
  // libpng explains some errors only in the warning before them.
  char warning[PNG_CODEC_MESSAGE_SIZE / 2];
} report;

static void on_warning(png_structp png, png_const_charp text) {
  report *to = png_get_error_ptr(png);
  snprintf(to->warning, sizeof to->warning, "%s", text);
}

static void on_error(png_structp png, png_const_charp text) {
  report *to = png_get_error_ptr(png);
  if (to->warning[0] != 0) {
    snprintf(to->message, PNG_CODEC_MESSAGE_SIZE, "%s (%s)", text, to->warning);
  } else {
    snprintf(to->message, PNG_CODEC_MESSAGE_SIZE, "%s", text);
  }
  png_longjmp(png, 1);
}

static int out_of_memory(char *message) {
  snprintf(message, PNG_CODEC_MESSAGE_SIZE, "out of memory");
  return -1;
}

// Reading.

typedef struct {
  report report;
  png_structp png;
  png_infop info;
  const uint8_t *bytes;
  size_t left;
  // Of 16 bits, in rows, before they are reduced.
  uint8_t *deep;
  int has_all_rows;
} reader;

// What a file ends with: a chunk without content.
static const uint8_t ending[12] = {0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xAE, 0x42, 0x60, 0x82};

static void take(png_structp png, png_bytep target, size_t count) {
  reader *from = png_get_io_ptr(png);
  if (from->left == 0 && from->has_all_rows && count == 8) {
    // Where a chunk should begin there is nothing more: the file lacks only its last one.
    from->bytes = ending;
    from->left = sizeof ending;
  }
  if (count > from->left) png_error(png, "the file ends early");
  memcpy(target, from->bytes, count);
  from->bytes += count;
  from->left -= count;
}

static int open_reader(reader *self, const uint8_t *bytes, size_t count, char *message) {
  *self = (reader){.report = {.message = message}, .bytes = bytes, .left = count};
  self->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &self->report, on_error, on_warning);
  if (self->png == NULL) return out_of_memory(message);
  self->info = png_create_info_struct(self->png);
  if (self->info == NULL) {
    png_destroy_read_struct(&self->png, NULL, NULL);
    return out_of_memory(message);
  }
  return 0;
}

static void close_reader(reader *self) {
  png_destroy_read_struct(&self->png, &self->info, NULL);
  free(self->deep);
}

static void read_info(reader *self) {
  png_set_user_limits(self->png, PNG_CODEC_MAXIMUM_SIDE, PNG_CODEC_MAXIMUM_SIDE);
  png_set_chunk_cache_max(self->png, 64);
  png_set_chunk_malloc_max(self->png, 8 << 20);
  // Pixels are taken as stored: color profiles, gamma and texts are not even parsed.
  png_set_keep_unknown_chunks(self->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  png_set_keep_unknown_chunks(self->png, PNG_HANDLE_CHUNK_AS_DEFAULT, (png_const_bytep)"sBIT", 1);
  png_set_read_fn(self->png, self, take);
  png_read_info(self->png, self->info);
}

static uint32_t decoded_channels(const reader *self) {
  return png_get_color_type(self->png, self->info) & PNG_COLOR_MASK_COLOR ? 3 : 1;
}

// What is called after setjmp stands in a function of its own, to which the reader or writer is no automatic variable:
// those may be lost by longjmp.

static int try_read_info(reader *self) {
  if (setjmp(png_jmpbuf(self->png))) return -1;
  read_info(self);
  return 0;
}

int png_codec_read_header(const uint8_t *bytes, size_t count, png_codec_header *header, char *message) {
  reader self;
  if (open_reader(&self, bytes, count, message) != 0) return -1;
  if (try_read_info(&self) != 0) {
    close_reader(&self);
    return -1;
  }
  header->width = png_get_image_width(self.png, self.info);
  header->height = png_get_image_height(self.png, self.info);
  header->channels = decoded_channels(&self);
  header->depth = png_get_bit_depth(self.png, self.info);
  header->has_alpha = (png_get_color_type(self.png, self.info) & PNG_COLOR_MASK_ALPHA) != 0 ||
                      png_get_valid(self.png, self.info, PNG_INFO_tRNS) != 0;
  header->stored_row_bytes = png_get_rowbytes(self.png, self.info);
  close_reader(&self);
  return 0;
}

// Bits of a channel's 16 that are significant, which are the upper ones.
static int significant_bits(const reader *self, size_t channel, size_t colors) {
  png_color_8p bits;
  if (png_get_sBIT(self->png, self->info, &bits) == 0) return 16;
  int found = channel == colors ? bits->alpha
              : colors == 1     ? bits->gray
              : channel == 0    ? bits->red
              : channel == 1    ? bits->green
                                : bits->blue;
  return found >= 1 && found <= 16 ? found : 16;
}

// Scales values of 16 bits to the nearest of 8 and returns the largest one of the colors.
static uint32_t reduce(const reader *self, const uint8_t *deep, uint8_t *pixels, size_t count, size_t channels) {
  size_t colors = decoded_channels(self);
  uint32_t largest = 0;
  for (size_t channel = 0; channel < channels; channel++) {
    int bits = significant_bits(self, channel, colors);
    uint32_t top = (1u << bits) - 1;
    for (size_t at = channel; at < count; at += channels) {
      uint32_t stored = (uint32_t)deep[2 * at] << 8 | deep[2 * at + 1];
      if (channel < colors && stored > largest) largest = stored;
      pixels[at] = (uint8_t)(((stored >> (16 - bits)) * 255 + top / 2) / top);
    }
  }
  return largest;
}

static void decode(reader *self, int keeps_alpha, uint8_t *pixels, size_t capacity, uint32_t *largest) {
  read_info(self);
  int is_deep = png_get_bit_depth(self->png, self->info) == 16;
  png_set_palette_to_rgb(self->png);
  png_set_expand_gray_1_2_4_to_8(self->png);
  if (keeps_alpha) {
    png_set_tRNS_to_alpha(self->png);
    png_set_add_alpha(self->png, is_deep ? 0xFFFF : 0xFF, PNG_FILLER_AFTER);
  } else {
    png_set_strip_alpha(self->png);
  }
  int passes = png_set_interlace_handling(self->png);
  png_read_update_info(self->png, self->info);

  size_t height = png_get_image_height(self->png, self->info);
  size_t row_bytes = png_get_rowbytes(self->png, self->info);
  size_t channels = decoded_channels(self) + (keeps_alpha ? 1 : 0);
  size_t row = (size_t)png_get_image_width(self->png, self->info) * channels;
  if (row_bytes != (is_deep ? 2 * row : row) || row * height != capacity) png_error(self->png, "unexpected row size");
  uint8_t *rows = pixels;
  if (is_deep) {
    self->deep = malloc(2 * capacity);
    if (self->deep == NULL) png_error(self->png, "out of memory");
    rows = self->deep;
  }
  for (int pass = 0; pass < passes; pass++) {
    for (size_t line = 0; line < height; line++) png_read_row(self->png, rows + line * row_bytes, NULL);
  }
  self->has_all_rows = 1;
  png_read_end(self->png, NULL);
  if (is_deep) *largest = reduce(self, self->deep, pixels, capacity, channels);
}

static int try_decode(reader *self, int keeps_alpha, uint8_t *pixels, size_t capacity, uint32_t *largest) {
  if (setjmp(png_jmpbuf(self->png))) return -1;
  decode(self, keeps_alpha, pixels, capacity, largest);
  return 0;
}

int png_codec_decode(
  const uint8_t *bytes, size_t count, int keeps_alpha, uint8_t *pixels, size_t capacity, uint32_t *largest,
  char *message) {
  reader self;
  if (open_reader(&self, bytes, count, message) != 0) return -1;
  *largest = 0;
  int status = try_decode(&self, keeps_alpha, pixels, capacity, largest);
  close_reader(&self);
  return status;
}

// Writing.

typedef struct {
  report report;
  png_structp png;
  png_infop info;
  uint8_t *bytes;
  size_t count;
  size_t capacity;
} writer;

static void append(png_structp png, png_bytep bytes, size_t count) {
  writer *to = png_get_io_ptr(png);
  if (count > to->capacity - to->count) {
    size_t capacity = 2 * to->capacity + count;
    uint8_t *grown = realloc(to->bytes, capacity);
    if (grown == NULL) png_error(png, "out of memory");
    to->bytes = grown;
    to->capacity = capacity;
  }
  memcpy(to->bytes + to->count, bytes, count);
  to->count += count;
}

static void flush(png_structp png) { (void)png; }

static void encode(
  writer *self, const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t channels, int level) {
  png_set_write_fn(self->png, self, append, flush);
  png_set_compression_level(self->png, level);
  png_set_IHDR(
    self->png, self->info, width, height, 8, channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY,
    PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(self->png, self->info);
  for (size_t row = 0; row < height; row++) png_write_row(self->png, pixels + row * width * channels);
  png_write_end(self->png, NULL);
}

static int try_encode(
  writer *self, const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t channels, int level) {
  if (setjmp(png_jmpbuf(self->png))) return -1;
  encode(self, pixels, width, height, channels, level);
  return 0;
}

int png_codec_encode(
  const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t channels, int level, uint8_t **bytes,
  size_t *count, char *message) {
  writer self = {.report = {.message = message}};
  self.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &self.report, on_error, on_warning);
  if (self.png == NULL) return out_of_memory(message);
  self.info = png_create_info_struct(self.png);
  if (self.info == NULL) {
    png_destroy_write_struct(&self.png, NULL);
    return out_of_memory(message);
  }
  int status = try_encode(&self, pixels, width, height, channels, level);
  png_destroy_write_struct(&self.png, &self.info);
  if (status != 0) {
    free(self.bytes);
    return -1;
  }
  *bytes = self.bytes;
  *count = self.count;
  return 0;
}

void png_codec_free(uint8_t *bytes) { free(bytes); }
