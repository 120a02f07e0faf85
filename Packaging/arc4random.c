// For programs and libraries that are to run with an older C library: glibc has these functions since 2.36 only.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

void arc4random_buf(void *buffer, size_t size) {
  for (char *bytes = buffer; size > 0;) {
    ssize_t count = getrandom(bytes, size, 0);
    if (count < 0) abort();
    bytes += count;
    size -= (size_t)count;
  }
}

uint32_t arc4random(void) {
  uint32_t value;
  arc4random_buf(&value, sizeof value);
  return value;
}
