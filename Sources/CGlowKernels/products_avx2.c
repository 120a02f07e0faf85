#if defined(__x86_64__)
#include <immintrin.h>

// Tuned for the first that had it: for processors before it each load and store of a vector would be two.
#define TARGET __attribute__((target("avx2,fma,tune=haswell")))
#define NAME(name) name##_avx2
#define VECTOR __m256
#define LANES 8
#define ROWS 6
#define GRADIENTS_PACK_B 1
#define GRADIENT_ROWS 128
#define LOAD _mm256_loadu_ps
#define STORE _mm256_storeu_ps
// The lanes below a number of them, which may be none or more than there are.
#define MASK __m256i
#define MASK_OF(width) \
  _mm256_cmpgt_epi32( \
      _mm256_set1_epi32((width) > 8 ? 8 : (int)(width)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
#define LOAD_PART(from, mask) _mm256_maskload_ps(from, mask)
#define STORE_PART(to, mask, value) _mm256_maskstore_ps(to, mask, value)
#define FILL _mm256_set1_ps
#define ZERO _mm256_setzero_ps
#define ADD _mm256_add_ps
#define MULTIPLY_ADD _mm256_fmadd_ps
// Of a NaN and another value the second is taken.
#define LARGER _mm256_max_ps
#define ZERO_WHERE_NOT_POSITIVE(selector, value) \
  _mm256_andnot_ps(_mm256_cmp_ps(selector, _mm256_setzero_ps(), _CMP_LE_OQ), value)

#include "products_kernel.h"
#endif
