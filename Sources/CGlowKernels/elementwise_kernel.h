// Values by themselves, for one set of instructions.

#include "elementwise.h"
#include "runs.h"

// Vectors that a processor lacks go by halves; all functions that take them are inlined.
#pragma clang diagnostic ignored "-Wpsabi"

#define INLINE_VECTORS TARGET static inline __attribute__((always_inline))

typedef int32_t NAME(integers) __attribute__((vector_size(32)));

/// a where the mask is all ones, b where it is zero.
INLINE_VECTORS glow_8 NAME(select)(NAME(integers) mask, glow_8 a, glow_8 b) {
  return (glow_8)((mask & (NAME(integers))a) | (~mask & (NAME(integers))b));
}

INLINE_VECTORS glow_8 NAME(fill)(float value) { return (glow_8){0} + value; }

/// x = n·ln 2 + r with |r| ≤ ½ ln 2; e^r by its Taylor polynomial of degree 7, 2^n by the exponent bits.
INLINE_VECTORS glow_8 NAME(exponential)(glow_8 x) {
  // Comparisons are false of a NaN, which stays.
  glow_8 clamped = NAME(select)((NAME(integers))(x < -87.3f), NAME(fill)(-87.3f), x);
  clamped = NAME(select)((NAME(integers))(clamped > 88.3f), NAME(fill)(88.3f), clamped);
  // Adding 1.5·2²³ rounds to an integer and leaves it in the low bits.
  const glow_8 shifted = clamped * 1.44269504f + 12582912.0f;
  const glow_8 n = shifted - 12582912.0f;
  const glow_8 r = (clamped - n * 0.693145752f) - n * 1.42860677e-6f;
  glow_8 p = r * (1.0f / 5040) + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const NAME(integers) exponent = ((NAME(integers))shifted + 127) << 23;
  return p * (glow_8)exponent;
}

/// The vectors of `count` values, the last of which may have less: body(x, part) changes x in place.
#define FOR_VECTORS(values, count, rest, body) \
  do { \
    intptr_t place = 0; \
    for (; place + 8 <= (count); place += 8) { \
      glow_8 x = AT(glow_8, values, place); \
      body(x); \
      AT(glow_8, values, place) = x; \
    } \
    if (place < (count)) { \
      glow_8 x = NAME(fill)(rest); \
      for (intptr_t lane = 0; lane < (count) - place; ++lane) x[lane] = (values)[place + lane]; \
      body(x); \
      for (intptr_t lane = 0; lane < (count) - place; ++lane) (values)[place + lane] = x[lane]; \
    } \
  } while (0)

TARGET void NAME(glow_exponentials)(float *values, float sign, intptr_t count) {
#define EXPONENTIAL(x) x = NAME(exponential)(x * sign)
  FOR_VECTORS(values, count, 0, EXPONENTIAL);
#undef EXPONENTIAL
}

TARGET void NAME(glow_sigmoids)(float *values, float least, intptr_t count, float *negative, float *product) {
  const glow_8 zero = NAME(fill)(0);
  glow_8 below = zero, factors = NAME(fill)(1);
#define SIGMOID(x) \
  do { \
    glow_8 h = x + 2; \
    h = NAME(select)((NAME(integers))(h < least), NAME(fill)(least), h); \
    const NAME(integers) is_negative = (NAME(integers))(h < zero); \
    const glow_8 e = NAME(exponential)(NAME(select)(is_negative, h, -h)); \
    const glow_8 one_plus_e = e + 1, reciprocal = 1 / one_plus_e; \
    const glow_8 opposite = zero - h; \
    below += NAME(select)((NAME(integers))(opposite < zero), zero, opposite); \
    factors *= one_plus_e; \
    x = NAME(select)(is_negative, e * reciprocal, reciprocal); \
  } while (0)
  // Where there is nothing, 2 + 88: its sigmoid is exactly 1.
  FOR_VECTORS(values, count, 88, SIGMOID);
#undef SIGMOID
  AT(glow_8, negative, 0) = below;
  AT(glow_8, product, 0) = factors;
}

TARGET void NAME(glow_add)(float *sums, const float *values, intptr_t count) {
#define ADD_VALUES(type, i) AT(type, sums, i) += CONST_AT(type, values, i)
  FOR_RUN(count, ADD_VALUES);
#undef ADD_VALUES
}

TARGET void NAME(glow_add_parts)(
    const float *parts, intptr_t count, intptr_t stride, float *sum, intptr_t values) {
  // The sums of so many stay in the nearest cache; all parts at once would be too many streams of memory.
  enum { most = 4096 };
  for (intptr_t start = 0; start < values; start += most) {
    const intptr_t length = values - start < most ? values - start : most;
    const float *part = parts + start;
    float *total = sum + start;
#define COPY_PART(type, i) AT(type, total, i) = CONST_AT(type, part, i)
#define ADD_PART(type, i) AT(type, total, i) += CONST_AT(type, part, i)
#define ADD_PARTS(type, i) \
  AT(type, total, i) = AT(type, total, i) + CONST_AT(type, part, i) + CONST_AT(type, part + stride, i) + \
                       CONST_AT(type, part + 2 * stride, i) + CONST_AT(type, part + 3 * stride, i)
    FOR_RUN(length, COPY_PART);
    intptr_t p = 1;
    for (; p + 4 <= count; p += 4) {
      part = parts + p * stride + start;
      FOR_RUN(length, ADD_PARTS);
    }
    for (; p < count; ++p) {
      part = parts + p * stride + start;
      FOR_RUN(length, ADD_PART);
    }
#undef ADD_PARTS
#undef ADD_PART
#undef COPY_PART
  }
}

/// Two interleaved planes, four, two or one channel at a time.
#define FOR_PAIRS(channels, body) \
  do { \
    intptr_t channel = 0; \
    for (; channel + 4 <= (channels); channel += 4) body(glow_4, glow_8, channel, EVEN_4, ODD_4, PAIRED_4); \
    if (channel + 2 <= (channels)) { \
      body(glow_2, glow_4, channel, EVEN_2, ODD_2, PAIRED_2); \
      channel += 2; \
    } \
    if (channel < (channels)) body(glow_1, glow_2, channel, EVEN_1, ODD_1, PAIRED_1); \
  } while (0)
#define EVEN_4(x) __builtin_shufflevector(x, x, 0, 2, 4, 6)
#define ODD_4(x) __builtin_shufflevector(x, x, 1, 3, 5, 7)
#define PAIRED_4(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5, 2, 6, 3, 7)
#define EVEN_2(x) __builtin_shufflevector(x, x, 0, 2)
#define ODD_2(x) __builtin_shufflevector(x, x, 1, 3)
#define PAIRED_2(a, b) __builtin_shufflevector(a, b, 0, 2, 1, 3)
#define EVEN_1(x) (x)[0]
#define ODD_1(x) (x)[1]
#define PAIRED_1(a, b) (glow_2){a, b}

TARGET void NAME(glow_scale)(const glow_scaling *scaling) {
  const intptr_t channels = scaling->channels;
  const float *factors = scaling->factors, *from = scaling->stored;
  float *to = scaling->scaled;
  for (intptr_t row = 0; row < scaling->rows; ++row) {
#define SCALE(type, i) AT(type, to, i) = CONST_AT(type, from, i) * CONST_AT(type, factors, i)
#define SCALE_PAIRS(half, whole, c, even, odd, paired) \
  { \
    const whole x = CONST_AT(whole, from, 2 * (c)); \
    AT(half, to, c) = even(x) * CONST_AT(half, factors, c); \
    AT(half, to, channels + (c)) = odd(x) * CONST_AT(half, factors, channels + (c)); \
  }
    if (scaling->planes == 1) {
      FOR_RUN(channels, SCALE);
    } else {
      FOR_PAIRS(channels, SCALE_PAIRS);
    }
#undef SCALE
#undef SCALE_PAIRS
    from += scaling->stored_step;
    to += scaling->scaled_step;
  }
}

TARGET void NAME(glow_scale_backward)(
    const glow_scaling *scaling, const float *gradient, float *factor_sums, int accumulate) {
  const intptr_t channels = scaling->channels;
  const float *factors = scaling->factors, *scaled = scaling->scaled;
  float *to = scaling->stored;
  for (intptr_t row = 0; row < scaling->rows; ++row) {
#define SCALE_BACKWARD(type, i) \
  { \
    const type x = CONST_AT(type, gradient, i) * CONST_AT(type, factors, i); \
    AT(type, to, i) = accumulate ? AT(type, to, i) + x : x; \
  }
#define SCALE_PAIRS_BACKWARD(half, whole, c, even, odd, paired) \
  { \
    const half a = CONST_AT(half, gradient, c) * CONST_AT(half, factors, c); \
    const half b = CONST_AT(half, gradient, channels + (c)) * CONST_AT(half, factors, channels + (c)); \
    const whole x = paired(a, b); \
    AT(whole, to, 2 * (c)) = accumulate ? AT(whole, to, 2 * (c)) + x : x; \
  }
#define ADD_PRODUCTS(type, i) \
  AT(type, factor_sums, i) += CONST_AT(type, gradient, i) * CONST_AT(type, scaled, i)
    if (scaling->planes == 1) {
      FOR_RUN(channels, SCALE_BACKWARD);
    } else {
      FOR_PAIRS(channels, SCALE_PAIRS_BACKWARD);
    }
    FOR_RUN(scaling->planes * channels, ADD_PRODUCTS);
#undef SCALE_BACKWARD
#undef SCALE_PAIRS_BACKWARD
#undef ADD_PRODUCTS
    gradient += scaling->scaled_step;
    scaled += scaling->scaled_step;
    to += scaling->stored_step;
  }
}

TARGET void NAME(glow_shift_and_scale)(glow_rows z, const float *shift, const float *scale) {
  for (intptr_t row = 0; row < z.rows; ++row) {
#define SHIFT_AND_SCALE(type, i) \
  AT(type, z.values, i) = (AT(type, z.values, i) + CONST_AT(type, shift, i)) * CONST_AT(type, scale, i)
    FOR_RUN(z.columns, SHIFT_AND_SCALE);
#undef SHIFT_AND_SCALE
    z.values += z.stride;
    shift += z.columns;
    scale += z.columns;
  }
}

TARGET void NAME(glow_undo_shift_and_scale)(glow_rows z, const float *shift, const float *scale) {
  for (intptr_t row = 0; row < z.rows; ++row) {
#define UNDO(type, i) \
  AT(type, z.values, i) = AT(type, z.values, i) / CONST_AT(type, scale, i) - CONST_AT(type, shift, i)
    FOR_RUN(z.columns, UNDO);
#undef UNDO
    z.values += z.stride;
    shift += z.columns;
    scale += z.columns;
  }
}

TARGET void NAME(glow_affine_backward)(
    glow_rows dy, glow_rows y, const float *scale, float floor, float logdet_gradient, glow_rows output_gradient) {
  for (intptr_t row = 0; row < dy.rows; ++row) {
    float *shift_gradient = output_gradient.values, *scale_gradient = shift_gradient + dy.columns;
    for (intptr_t i = 0; i < dy.columns; ++i) {
      const float d = dy.values[i], s = scale[i];
      const float dz = d * s;
      const float slope = s > floor ? 1 - s : 0;
      scale_gradient[i] = (d * y.values[i] + logdet_gradient) * slope;
      shift_gradient[i] = dz;
      dy.values[i] = dz;
    }
    dy.values += dy.stride;
    y.values += y.stride;
    scale += dy.columns;
    output_gradient.values += output_gradient.stride;
  }
}

#define UPDATE(kind, second_moment, root) \
  TARGET void NAME(kind)(const glow_update *update, intptr_t first, intptr_t count) { \
    const glow_update u = *update; \
    float *restrict values = u.values + first; \
    const float *restrict gradients = u.gradients + first; \
    float *restrict m = u.first + first, *restrict v = u.second + first; \
    for (intptr_t i = 0; i < count; ++i) { \
      const float g = gradients[i] * u.scale; \
      const float moment = u.keep_first * m[i] + u.take_first * g; \
      const float kept = u.keep_second * v[i]; \
      const float size = second_moment; \
      m[i] = moment; \
      v[i] = size; \
      values[i] = u.keep_value * values[i] - u.rate * moment / (root(size) + u.epsilon); \
    } \
    if (!u.average) return; \
    float *restrict average = u.average + first; \
    for (intptr_t i = 0; i < count; ++i) { \
      average[i] = u.keep_average * average[i] + u.take_average * values[i]; \
    } \
  }
#define ITSELF(x) (x)
// Of a NaN the kept one is taken.
UPDATE(glow_adamax, __builtin_fabsf(g) >= kept ? __builtin_fabsf(g) : kept, ITSELF)
UPDATE(glow_adam, kept + u.take_second * g * g, __builtin_sqrtf)
#undef ITSELF
#undef UPDATE

TARGET void NAME(glow_add_squares)(const float *values, intptr_t vectors, double *sums) {
  typedef double doubles __attribute__((vector_size(64), aligned(8), may_alias));
  doubles total = *(doubles *)sums;
  for (intptr_t i = 0; i < vectors; ++i) {
    const doubles x = __builtin_convertvector(CONST_AT(glow_8, values, 8 * i), doubles);
    total += x * x;
  }
  *(doubles *)sums = total;
}
