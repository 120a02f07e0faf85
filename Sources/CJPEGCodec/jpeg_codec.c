#include "jpeg_codec.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
// After jpeglib.h, whose types it needs.
#include <jerror.h>

// More scans than any encoder writes; each costs the time of a whole image.
#define MAXIMUM_SCANS 200
#define MAXIMUM_MEMORY (2000l << 20)

typedef struct {
  struct jpeg_decompress_struct jpeg;
  struct jpeg_error_mgr errors;
  struct jpeg_progress_mgr progress;
  jmp_buf failed;
  char *message;
} reader;

static void fail(j_common_ptr jpeg) {
  reader *self = jpeg->client_data;
  char text[JMSG_LENGTH_MAX];
  jpeg->err->format_message(jpeg, text);
  snprintf(self->message, JPEG_CODEC_MESSAGE_SIZE, "%s", text);
  longjmp(self->failed, 1);
}

static void refuse(j_common_ptr jpeg, const char *text) {
  reader *self = jpeg->client_data;
  snprintf(self->message, JPEG_CODEC_MESSAGE_SIZE, "%s", text);
  longjmp(self->failed, 1);
}

// Level -1 is a warning. Some tell of marks that change no pixel; the others of data that are not there.
static void on_message(j_common_ptr jpeg, int level) {
  if (level >= 0) return;
  switch (jpeg->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
    case JWRN_TOO_MUCH_DATA: return;
    default: fail(jpeg);
  }
}

static void on_progress(j_common_ptr jpeg) {
  if (((j_decompress_ptr)jpeg)->input_scan_number > MAXIMUM_SCANS) refuse(jpeg, "too many scans");
}

static void read_header(reader *self, const uint8_t *bytes, size_t count) {
  jpeg_create_decompress(&self->jpeg);
  self->jpeg.client_data = self;
  self->jpeg.mem->max_memory_to_use = MAXIMUM_MEMORY;
  self->jpeg.progress = &self->progress;
  self->progress.progress_monitor = on_progress;
  jpeg_mem_src(&self->jpeg, bytes, count);
  jpeg_read_header(&self->jpeg, TRUE);
  if (self->jpeg.arith_code) refuse((j_common_ptr)&self->jpeg, "arithmetic coding is not read");
  switch (self->jpeg.jpeg_color_space) {
    case JCS_GRAYSCALE: self->jpeg.out_color_space = JCS_GRAYSCALE; break;
    case JCS_YCbCr:
    case JCS_RGB: self->jpeg.out_color_space = JCS_RGB; break;
    case JCS_CMYK:
    case JCS_YCCK: self->jpeg.out_color_space = JCS_CMYK; break;
    default: refuse((j_common_ptr)&self->jpeg, "unknown colors");
  }
  jpeg_calc_output_dimensions(&self->jpeg);
}

static void decode(reader *self, uint8_t *pixels, size_t capacity) {
  jpeg_start_decompress(&self->jpeg);
  size_t row_bytes = (size_t)self->jpeg.output_width * self->jpeg.output_components;
  if (row_bytes * self->jpeg.output_height != capacity) refuse((j_common_ptr)&self->jpeg, "unexpected row size");
  while (self->jpeg.output_scanline < self->jpeg.output_height) {
    JSAMPROW row = pixels + self->jpeg.output_scanline * row_bytes;
    jpeg_read_scanlines(&self->jpeg, &row, 1);
  }
}

// `pixels` may be NULL: the header is enough. setjmp stands in a function to which the reader is no automatic variable,
// because those may be lost by longjmp.
static int attempt(reader *self, const uint8_t *bytes, size_t count, uint8_t *pixels, size_t capacity) {
  if (setjmp(self->failed)) return -1;
  read_header(self, bytes, count);
  if (pixels != NULL) decode(self, pixels, capacity);
  return 0;
}

static int run(
  reader *self, const uint8_t *bytes, size_t count, uint8_t *pixels, size_t capacity, char *message) {
  memset(self, 0, sizeof *self);
  self->message = message;
  self->jpeg.err = jpeg_std_error(&self->errors);
  self->jpeg.client_data = self;
  self->errors.error_exit = fail;
  self->errors.emit_message = on_message;
  int status = attempt(self, bytes, count, pixels, capacity);
  jpeg_destroy_decompress(&self->jpeg);
  return status;
}

int jpeg_codec_read_header(const uint8_t *bytes, size_t count, jpeg_codec_header *header, char *message) {
  reader self;
  if (run(&self, bytes, count, NULL, 0, message) != 0) return -1;
  header->width = self.jpeg.output_width;
  header->height = self.jpeg.output_height;
  header->channels = self.jpeg.out_color_space == JCS_GRAYSCALE ? 1 : self.jpeg.out_color_space == JCS_RGB ? 3 : 4;
  return 0;
}

int jpeg_codec_decode(const uint8_t *bytes, size_t count, uint8_t *pixels, size_t capacity, char *message) {
  reader self;
  return run(&self, bytes, count, pixels, capacity, message);
}
