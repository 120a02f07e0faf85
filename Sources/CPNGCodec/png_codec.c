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
} reader;

static void take(png_structp png, png_bytep target, size_t count) {
  reader *from = png_get_io_ptr(png);
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

static void close_reader(reader *self) { png_destroy_read_struct(&self->png, &self->info, NULL); }

static void read_info(reader *self) {
  png_set_user_limits(self->png, PNG_CODEC_MAXIMUM_SIDE, PNG_CODEC_MAXIMUM_SIDE);
  png_set_chunk_cache_max(self->png, 64);
  png_set_chunk_malloc_max(self->png, 8 << 20);
  // Pixels are taken as stored: color profiles, gamma and texts are not even parsed.
  png_set_keep_unknown_chunks(self->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  png_set_read_fn(self->png, self, take);
  png_read_info(self->png, self->info);
}

static uint32_t decoded_channels(const reader *self) {
  return png_get_color_type(self->png, self->info) & PNG_COLOR_MASK_COLOR ? 3 : 1;
}

int png_codec_read_header(const uint8_t *bytes, size_t count, png_codec_header *header, char *message) {
  reader self;
  if (open_reader(&self, bytes, count, message) != 0) return -1;
  if (setjmp(png_jmpbuf(self.png))) {
    close_reader(&self);
    return -1;
  }
  read_info(&self);
  header->width = png_get_image_width(self.png, self.info);
  header->height = png_get_image_height(self.png, self.info);
  header->channels = decoded_channels(&self);
  header->stored_row_bytes = png_get_rowbytes(self.png, self.info);
  close_reader(&self);
  return 0;
}

static void decode(reader *self, uint8_t *pixels, size_t capacity) {
  read_info(self);
  png_set_palette_to_rgb(self->png);
  png_set_expand_gray_1_2_4_to_8(self->png);
  png_set_scale_16(self->png);
  png_set_strip_alpha(self->png);
  int passes = png_set_interlace_handling(self->png);
  png_read_update_info(self->png, self->info);

  size_t height = png_get_image_height(self->png, self->info);
  size_t row_bytes = png_get_rowbytes(self->png, self->info);
  size_t expected = (size_t)png_get_image_width(self->png, self->info) * decoded_channels(self);
  if (row_bytes != expected || row_bytes * height != capacity) png_error(self->png, "unexpected row size");
  for (int pass = 0; pass < passes; pass++) {
    for (size_t row = 0; row < height; row++) png_read_row(self->png, pixels + row * row_bytes, NULL);
  }
  png_read_end(self->png, NULL);
}

int png_codec_decode(const uint8_t *bytes, size_t count, uint8_t *pixels, size_t capacity, char *message) {
  reader self;
  if (open_reader(&self, bytes, count, message) != 0) return -1;
  if (setjmp(png_jmpbuf(self.png))) {
    close_reader(&self);
    return -1;
  }
  decode(&self, pixels, capacity);
  close_reader(&self);
  return 0;
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
  if (setjmp(png_jmpbuf(self.png))) {
    png_destroy_write_struct(&self.png, &self.info);
    free(self.bytes);
    return -1;
  }
  encode(&self, pixels, width, height, channels, level);
  png_destroy_write_struct(&self.png, &self.info);
  *bytes = self.bytes;
  *count = self.count;
  return 0;
}

void png_codec_free(uint8_t *bytes) { free(bytes); }
