// The product for one set of instructions, whose macros stand in the file that includes this one.
//
// A block of up to ROWS rows and two vectors of columns stays in the registers while the inner dimension goes by: with 16
// registers 6×2 of them are sums, with 32 14×2. A is read where it is, each of its values into all lanes of a register; B
// from one or two panels, one after the other. Rows are spread evenly over blocks, so that none is left with a few.

#include "variants.h"

#define INLINE static inline __attribute__((always_inline)) TARGET
#define UNROLL _Pragma("clang loop unroll(full)")

/// Of a row of a block, where its class has its bias and its sum; rows are asked for one after the other.
typedef struct {
  const uint8_t *class;
  intptr_t stride, rows, used;
} NAME(class_walk);

INLINE NAME(class_walk) NAME(classes_from)(const glow_product *product, intptr_t first) {
  NAME(class_walk) walk = {product->classes, product->class_stride, product->rows_per_class, 0};
  if (walk.class) {
    walk.class += first / walk.rows;
    walk.used = first % walk.rows;
  }
  return walk;
}

INLINE intptr_t NAME(next_class)(NAME(class_walk) *walk) {
  if (!walk->class) return 0;
  const intptr_t offset = *walk->class * walk->stride;
  if (++walk->used == walk->rows) {
    walk->used = 0;
    ++walk->class;
  }
  return offset;
}

/// Where a block lies in C, and what of it there is: of the last panel only some columns are.
typedef struct {
  float *c;
  intptr_t first, column;
  MASK parts[2];
} NAME(place);

// Whole vectors, or what there is of them; the condition is known where the code is made.
#define READ(from, v) (is_full ? LOAD((from) + (v) * LANES) : LOAD_PART((from) + (v) * LANES, place->parts[v]))
#define WRITE(to, v, value) \
  do { \
    if (is_full) { \
      STORE((to) + (v) * LANES, value); \
    } else { \
      STORE_PART((to) + (v) * LANES, place->parts[v], value); \
    } \
  } while (0)

/// What the chains start with.
INLINE void NAME(start)(
    const int rows, const int vectors, const int is_full, const glow_product *product, const NAME(place) *place,
    VECTOR sums[ROWS][2]) {
  const float *c = place->c;
  UNROLL for (int r = 0; r < rows; ++r) {
    UNROLL for (int v = 0; v < vectors; ++v) sums[r][v] = ZERO();
  }
  if (product->accumulate) {
    // Gradients of weights are too many for the near caches: those of the next panels are asked for beforehand.
    UNROLL for (int r = 0; r < rows; ++r) {
      UNROLL for (int v = 0; v < vectors * LANES; v += 16) {
        __builtin_prefetch(c + r * product->c_row + 2 * LANES + v, 1);
      }
    }
    UNROLL for (int r = 0; r < rows; ++r) {
      UNROLL for (int v = 0; v < vectors; ++v) sums[r][v] = READ(c + r * product->c_row, v);
    }
  }
  // Kept activations have left the near caches since: they are asked for while the chains go on.
  if (product->activations) {
    const float *from = product->activations + place->first * product->activation_row + place->column;
    UNROLL for (int r = 0; r < rows; ++r) {
      UNROLL for (int v = 0; v < vectors * LANES; v += 16) __builtin_prefetch(from + r * product->activation_row + v);
    }
  }
  if (product->bias) {
    NAME(class_walk) walk = NAME(classes_from)(product, place->first);
    UNROLL for (int r = 0; r < rows; ++r) {
      const float *bias = product->bias + NAME(next_class)(&walk) + place->column;
      UNROLL for (int v = 0; v < vectors; ++v) {
        const VECTOR value = READ(bias, v);
        sums[r][v] = product->accumulate ? ADD(sums[r][v], value) : value;
      }
    }
  }
}

/// What becomes of the sums.
INLINE void NAME(finish)(
    const int rows, const int vectors, const int is_full, const glow_product *product, const NAME(place) *place,
    VECTOR sums[ROWS][2]) {
  if (product->rectify) {
    UNROLL for (int r = 0; r < rows; ++r) {
      UNROLL for (int v = 0; v < vectors; ++v) sums[r][v] = LARGER(ZERO(), sums[r][v]);
    }
  }
  if (product->activations) {
    const float *from = product->activations + place->first * product->activation_row + place->column;
    UNROLL for (int r = 0; r < rows; ++r) {
      UNROLL for (int v = 0; v < vectors; ++v) {
        sums[r][v] = ZERO_WHERE_NOT_POSITIVE(READ(from + r * product->activation_row, v), sums[r][v]);
      }
    }
  }
  UNROLL for (int r = 0; r < rows; ++r) {
    UNROLL for (int v = 0; v < vectors; ++v) WRITE(place->c + r * product->c_row, v, sums[r][v]);
  }
  if (product->sums) {
    NAME(class_walk) walk = NAME(classes_from)(product, place->first);
    UNROLL for (int r = 0; r < rows; ++r) {
      float *total = product->sums + NAME(next_class)(&walk) + place->column;
      UNROLL for (int v = 0; v < vectors; ++v) WRITE(total, v, ADD(READ(total, v), sums[r][v]));
    }
  }
}

/// Where a row begins, counted from the first of its line's first row.
INLINE intptr_t NAME(row_offset)(const glow_neighborhoods *neighborhoods, intptr_t row_step, intptr_t row) {
  if (!neighborhoods->line_rows) return row * row_step;
  const intptr_t place = row + neighborhoods->line_start;
  return place / neighborhoods->line_rows * neighborhoods->line_step +
         place % neighborhoods->line_rows * row_step;
}

/// Rows from one on that are in one line.
INLINE intptr_t NAME(rows_of_line)(const glow_neighborhoods *neighborhoods, intptr_t row, intptr_t rows) {
  if (!neighborhoods->line_rows) return rows - row;
  const intptr_t left = neighborhoods->line_rows - (row + neighborhoods->line_start) % neighborhoods->line_rows;
  return left < rows - row ? left : rows - row;
}

/// One block: `rows` rows from `first` on and `vectors` vectors from `panel` on.
INLINE void NAME(block)(
    const int rows, const int vectors, const int is_transposed, const glow_product *product, intptr_t first,
    intptr_t panel) {
  const intptr_t inner = product->inner;
  const intptr_t column = panel * glow_panel_columns;
  const intptr_t width = product->columns - column;
  const int is_full = width >= vectors * LANES;
  const NAME(place) place = {
      product->c + first * product->c_row + column, first, column, {MASK_OF(width), MASK_OF(width - LANES)}};
  VECTOR sums[ROWS][2];
  if (is_full) {
    NAME(start)(rows, vectors, 1, product, &place, sums);
  } else {
    NAME(start)(rows, vectors, 0, product, &place, sums);
  }

  // The chains.
  const float *b0 = product->b + panel * glow_panel_columns * inner;
  const float *b1 = LANES == glow_panel_columns ? b0 + glow_panel_columns * inner : b0 + LANES;
  if (is_transposed) {
    const float *a = product->a + first;
    for (intptr_t k = 0; k < inner; ++k) {
      const VECTOR x0 = LOAD(b0), x1 = vectors == 2 ? LOAD(b1) : x0;
      UNROLL for (int r = 0; r < rows; ++r) {
        const VECTOR y = FILL(a[r]);
        sums[r][0] = MULTIPLY_ADD(y, x0, sums[r][0]);
        if (vectors == 2) sums[r][1] = MULTIPLY_ADD(y, x1, sums[r][1]);
      }
      a += product->a_inner;
      b0 += glow_panel_columns;
      b1 += glow_panel_columns;
    }
  } else {
    // One pointer for three rows, which are one, two and no distances away from it: more would not fit in the registers.
    const intptr_t row = product->a_row * (intptr_t)sizeof(float);
    const intptr_t segments = product->neighborhoods.segments ? product->neighborhoods.segments : 1;
    const intptr_t run = inner / segments;
    const float *start = product->a + NAME(row_offset)(&product->neighborhoods, product->a_row, first);
    for (intptr_t segment = 0; segment < segments; ++segment) {
      const char *a0 = (const char *)(start + segment * product->neighborhoods.segment_step);
      const char *a1 = a0 + 3 * row, *a2 = a1 + 3 * row, *a3 = a2 + 3 * row, *a4 = a3 + 3 * row;
#define ADD_ROW(r, pointer, distances) \
    if (r < rows) { \
      const VECTOR y = FILL(*(const float *)(pointer + distances * row)); \
      sums[r][0] = MULTIPLY_ADD(y, x0, sums[r][0]); \
      if (vectors == 2) sums[r][1] = MULTIPLY_ADD(y, x1, sums[r][1]); \
    }
      for (intptr_t k = 0; k < run; ++k) {
        const VECTOR x0 = LOAD(b0), x1 = vectors == 2 ? LOAD(b1) : x0;
        ADD_ROW(0, a0, 0)
        ADD_ROW(1, a0, 1)
        ADD_ROW(2, a0, 2)
        ADD_ROW(3, a1, 0)
        ADD_ROW(4, a1, 1)
        ADD_ROW(5, a1, 2)
#if ROWS > 6
        ADD_ROW(6, a2, 0)
        ADD_ROW(7, a2, 1)
        ADD_ROW(8, a2, 2)
        ADD_ROW(9, a3, 0)
        ADD_ROW(10, a3, 1)
        ADD_ROW(11, a3, 2)
        ADD_ROW(12, a4, 0)
        ADD_ROW(13, a4, 1)
#endif
        a0 += sizeof(float);
        a1 += sizeof(float);
        a2 += sizeof(float);
        a3 += sizeof(float);
        a4 += sizeof(float);
        b0 += glow_panel_columns;
        b1 += glow_panel_columns;
        // Else the compiler makes a pointer for each row, and keeps some on the stack.
        if (rows > 12) {
          __asm__("" : "+r"(a0), "+r"(a1), "+r"(a2), "+r"(a3), "+r"(a4));
        } else if (rows > 9) {
          __asm__("" : "+r"(a0), "+r"(a1), "+r"(a2), "+r"(a3));
        } else if (rows > 6) {
          __asm__("" : "+r"(a0), "+r"(a1), "+r"(a2));
        } else {
          __asm__("" : "+r"(a0), "+r"(a1));
        }
      }
    }
#undef ADD_ROW
  }

  if (is_full) {
    NAME(finish)(rows, vectors, 1, product, &place, sums);
  } else {
    NAME(finish)(rows, vectors, 0, product, &place, sums);
  }
}

// A function for each number of rows, of vectors, and for A and its transpose.

typedef void (*NAME(block_function))(const glow_product *, intptr_t first, intptr_t panel);

#define BLOCK(rows, vectors, is_transposed) \
  TARGET static void NAME(block_##rows##_##vectors##_##is_transposed)( \
      const glow_product *product, intptr_t first, intptr_t panel) { \
    NAME(block)(rows, vectors, is_transposed, product, first, panel); \
  }
#define BLOCKS(rows) BLOCK(rows, 1, 0) BLOCK(rows, 2, 0) BLOCK(rows, 1, 1) BLOCK(rows, 2, 1)
BLOCKS(1) BLOCKS(2) BLOCKS(3) BLOCKS(4) BLOCKS(5) BLOCKS(6)
#if ROWS > 6
BLOCKS(7) BLOCKS(8) BLOCKS(9) BLOCKS(10) BLOCKS(11) BLOCKS(12) BLOCKS(13) BLOCKS(14)
#endif

#define ENTRY(rows) \
  {{NAME(block_##rows##_1_0), NAME(block_##rows##_2_0)}, {NAME(block_##rows##_1_1), NAME(block_##rows##_2_1)}}
/// By rows − 1, whether A is transposed, and vectors − 1.
static const NAME(block_function) NAME(blocks)[ROWS][2][2] = {
    ENTRY(1), ENTRY(2), ENTRY(3), ENTRY(4), ENTRY(5), ENTRY(6),
#if ROWS > 6
    ENTRY(7), ENTRY(8), ENTRY(9), ENTRY(10), ENTRY(11), ENTRY(12), ENTRY(13), ENTRY(14),
#endif
};

TARGET double NAME(glow_multiply_adds)(long repetitions) {
  enum { chains = 12 };
  VECTOR sums[chains];
  UNROLL for (int i = 0; i < chains; ++i) sums[i] = FILL((float)i);
  const VECTOR factor = FILL(0.999f), addend = FILL(0.001f);
  for (long repetition = 0; repetition < repetitions; ++repetition) {
    UNROLL for (int i = 0; i < chains; ++i) sums[i] = MULTIPLY_ADD(sums[i], factor, addend);
    // Else the compiler may find out what comes of it.
    UNROLL for (int i = 0; i < chains; ++i) __asm__ volatile("" : "+v"(sums[i]));
  }
  return (double)repetitions * chains * LANES;
}

/// Panels from `panel` on that a block of columns takes: two vectors are one panel, or two panels if there is another.
#define PANELS(panel, panels) (LANES == glow_panel_columns && panel + 1 < panels ? 2 : 1)
#define VECTORS(panel, panels) (LANES == glow_panel_columns ? PANELS(panel, panels) : 2)

TARGET void NAME(glow_multiply)(const glow_product *product) {
  if (product->rows == 0) return;
  const intptr_t panels = (product->columns + glow_panel_columns - 1) / glow_panel_columns;
  const int is_transposed = product->a_inner != 1;
  for (intptr_t panel = 0; panel < panels; panel += PANELS(panel, panels)) {
    intptr_t first = 0;
    while (first < product->rows) {
      const intptr_t line = NAME(rows_of_line)(&product->neighborhoods, first, product->rows);
      const intptr_t blocks = (line + ROWS - 1) / ROWS;
      const intptr_t smaller = line / blocks, larger = line % blocks;
      for (intptr_t block = 0; block < blocks; ++block) {
        const intptr_t rows = smaller + (block < larger);
        NAME(blocks)[rows - 1][is_transposed][VECTORS(panel, panels) - 1](product, first, panel);
        first += rows;
      }
    }
  }
}

/// Rows that are asked for before they are packed: they lie too far apart for the processor to guess.
enum { packing_ahead = 24 };

/// Packs whole panels of rows that lie `row` values apart.
TARGET static void NAME(pack_rows)(
    const float *from, intptr_t row, intptr_t inner, intptr_t columns, float *panels) {
  const intptr_t whole = columns / glow_panel_columns * glow_panel_columns;
  for (intptr_t column = 0; column < whole; column += glow_panel_columns) {
    const float *values = from + column;
    for (intptr_t k = 0; k < inner; ++k) {
      __builtin_prefetch(values + packing_ahead * row);
      UNROLL for (int v = 0; v < glow_panel_columns; v += LANES) STORE(panels + v, LOAD(values + v));
      values += row;
      panels += glow_panel_columns;
    }
  }
  glow_pack(from + whole, row, 1, inner, columns - whole, panels);
}

/// Packs `rows` columns of A from a run's `first` on, for `inner` rows of it from `start` on.
TARGET static void NAME(pack_columns)(
    const glow_gradient *gradient, const float *run, intptr_t first, intptr_t rows, intptr_t start, intptr_t inner,
    float *packed) {
  // Whole vectors, as far as there are so many values before the end of A.
  intptr_t whole = inner;
  if (!gradient->neighborhoods.line_rows) {
    const intptr_t room = (inner - 1) * gradient->a_row + gradient->rows - first - LANES;
    whole = room < 0 ? 0 : room / gradient->a_row + 1;
  }
  intptr_t k = 0;
  while (k < inner) {
    const intptr_t line = NAME(rows_of_line)(&gradient->neighborhoods, start + k, start + inner);
    const float *a = run + first + NAME(row_offset)(&gradient->neighborhoods, gradient->a_row, start + k);
    for (intptr_t end = k + line; k < end; ++k, a += gradient->a_row) {
      if (k < whole) {
        __builtin_prefetch(a + packing_ahead * gradient->a_row);
        STORE(packed + k * LANES, LOAD(a));
      } else {
        for (intptr_t r = 0; r < rows; ++r) packed[k * LANES + r] = a[r];
      }
    }
  }
}

TARGET void NAME(glow_add_gradient)(const glow_gradient *gradient, float *panels_of_b) {
  enum { most = glow_gradient_rows };
  if (gradient->rows == 0) return;
  _Alignas(64) float packed[most * LANES];
  const intptr_t panels = (gradient->columns + glow_panel_columns - 1) / glow_panel_columns;
  const intptr_t segments = gradient->neighborhoods.segments ? gradient->neighborhoods.segments : 1;
  const intptr_t run = gradient->rows / segments;
  const intptr_t blocks = (run + ROWS - 1) / ROWS;
  const intptr_t smaller = run / blocks, larger = run % blocks;
  // Without rows too, which leave zeros where nothing is to be added to.
  for (intptr_t start = 0; start == 0 || start < gradient->inner; start += most) {
    const intptr_t inner = gradient->inner - start < most ? gradient->inner - start : most;
    NAME(pack_rows)(
        gradient->b + start * gradient->b_row, gradient->b_row, inner, gradient->columns, panels_of_b);
    for (intptr_t segment = 0; segment < segments; ++segment) {
      const float *a = gradient->a + segment * gradient->neighborhoods.segment_step;
      intptr_t first = 0;
      for (intptr_t block = 0; block < blocks; ++block) {
        const intptr_t rows = smaller + (block < larger);
        NAME(pack_columns)(gradient, a, first, rows, start, inner, packed);
        const glow_product product = {
            .rows = rows,
            .inner = inner,
            .columns = gradient->columns,
            .a = packed,
            .a_row = 1,
            .a_inner = LANES,
            .b = panels_of_b,
            .c = gradient->c + (segment * run + first) * gradient->c_row,
            .c_row = gradient->c_row,
            .accumulate = gradient->accumulate || start > 0,
        };
        for (intptr_t panel = 0; panel < panels; panel += PANELS(panel, panels)) {
          NAME(blocks)[rows - 1][1][VECTORS(panel, panels) - 1](&product, 0, panel);
        }
        first += rows;
      }
    }
  }
}
