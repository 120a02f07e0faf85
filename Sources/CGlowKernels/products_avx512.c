#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f")))
#define NAME(name) name##_avx512
#define VECTOR __m512
#define LANES 16
#define ROWS 14
#define GRADIENTS_PACK_B 0
#define GRADIENT_ROWS 256
#define LOAD _mm512_loadu_ps
#define STORE _mm512_storeu_ps
// The lanes below a number of them, which may be none or more than there are.
#define MASK __mmask16
#define MASK_OF(width) ((width) >= 16 ? 0xFFFF : (width) <= 0 ? 0 : (__mmask16)((1 << (width)) - 1))
#define LOAD_PART(from, mask) _mm512_maskz_loadu_ps(mask, from)
#define STORE_PART(to, mask, value) _mm512_mask_storeu_ps(to, mask, value)
#define FILL _mm512_set1_ps
#define ZERO _mm512_setzero_ps
#define ADD _mm512_add_ps
#define MULTIPLY_ADD _mm512_fmadd_ps
// Of a NaN and another value the second is taken.
#define LARGER _mm512_max_ps
#define ZERO_WHERE_NOT_POSITIVE(selector, value) \
  _mm512_mask_mov_ps(value, _mm512_cmp_ps_mask(selector, _mm512_setzero_ps(), _CMP_LE_OQ), _mm512_setzero_ps())

#include "products_kernel.h"
#endif
