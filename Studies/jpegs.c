// Writes the images of an array of bytes [N, 32, 32, 3] as JPEG files of 178x218 pixels, quality 90: for want of
// photographs, enlarged and with a little grain, so that there is something to decode.
//
// usage: jpegs FILE.npy FOLDER
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jpeglib.h>

enum { SIDE = 32, WIDTH = 178, HEIGHT = 218 };

static double at(const unsigned char *image, int row, int column, int channel) {
  return image[(row * SIDE + column) * 3 + channel];
}

static void enlarge(const unsigned char *image, unsigned char *pixels, unsigned *noise) {
  for (int y = 0; y < HEIGHT; y++)
    for (int x = 0; x < WIDTH; x++) {
      double v = y * (SIDE - 1.0) / (HEIGHT - 1), u = x * (SIDE - 1.0) / (WIDTH - 1);
      int row = v < SIDE - 1 ? (int)v : SIDE - 2, column = u < SIDE - 1 ? (int)u : SIDE - 2;
      double down = v - row, right = u - column;
      for (int c = 0; c < 3; c++) {
        double value = (1 - down) * ((1 - right) * at(image, row, column, c) + right * at(image, row, column + 1, c))
          + down * ((1 - right) * at(image, row + 1, column, c) + right * at(image, row + 1, column + 1, c));
        *noise = *noise * 1664525u + 1013904223u;
        value += (double)(*noise >> 24) / 32 - 4;
        pixels[(y * WIDTH + x) * 3 + c] = value < 0 ? 0 : value > 255 ? 255 : (unsigned char)value;
      }
    }
}

static int write_jpeg(const unsigned char *pixels, const char *path) {
  FILE *file = fopen(path, "wb");
  if (!file) return -1;
  struct jpeg_error_mgr errors;
  struct jpeg_compress_struct jpeg;
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  jpeg_stdio_dest(&jpeg, file);
  jpeg.image_width = WIDTH;
  jpeg.image_height = HEIGHT;
  jpeg.input_components = 3;
  jpeg.in_color_space = JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, 90, TRUE);
  jpeg_start_compress(&jpeg, TRUE);
  while (jpeg.next_scanline < HEIGHT) {
    JSAMPROW row = (JSAMPROW)(pixels + jpeg.next_scanline * WIDTH * 3);
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  return fclose(file);
}

int main(int count, char **arguments) {
  if (count != 3) return fprintf(stderr, "usage: jpegs FILE.npy FOLDER\n"), 64;
  FILE *file = fopen(arguments[1], "rb");
  unsigned char start[10], image[SIDE * SIDE * 3], pixels[WIDTH * HEIGHT * 3];
  // The magic number, the version 1.0, and the length of the header.
  if (!file || fread(start, 1, 10, file) != 10 || memcmp(start, "\x93NUMPY\1", 7) != 0
      || fseek(file, 10 + start[8] + 256 * start[9], SEEK_SET) != 0)
    return fprintf(stderr, "%s: is no .npy file\n", arguments[1]), 1;
  unsigned noise = 1;
  for (int number = 0; fread(image, 1, sizeof image, file) == sizeof image; number++) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%06d.jpg", arguments[2], number);
    enlarge(image, pixels, &noise);
    if (write_jpeg(pixels, path) != 0) return perror(path), 1;
  }
  return 0;
}
