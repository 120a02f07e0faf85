// The product for one set of instructions, whose macros stand in the file that includes this one.
//
// A block of up to ROWS rows and two vectors of columns stays in the registers while the inner dimension goes by: with 16
// registers 6×2 of them are sums, with 32 14×2. A is read where it is, each of its values into all lanes of a register; B
// from one or two panels, one after the other. Rows are spread evenly over blocks, so that none is left with a few.
//
// Gradients of weights are made in blocks of the same size, GRADIENT_ROWS of the inner dimension at a time: the columns of A
// that a block needs are then in the near cache while it goes by all of B. Small blocks go through B so often that packing
// it first pays (GRADIENTS_PACK_B).

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

/// Makes a row the first: where its line begins, counted from the line that was the first.
INLINE intptr_t NAME(line_of)(glow_neighborhoods *neighborhoods, intptr_t row_step, intptr_t row) {
  if (!neighborhoods->line_rows) return row * row_step;
  const intptr_t place = row + neighborhoods->line_start;
  neighborhoods->line_start = place % neighborhoods->line_rows;
  return place / neighborhoods->line_rows * neighborhoods->line_step;
}

/// Where a row begins, counted from the first of the first line.
INLINE intptr_t NAME(row_offset)(glow_neighborhoods neighborhoods, intptr_t row_step, intptr_t row) {
  const intptr_t line = NAME(line_of)(&neighborhoods, row_step, row);
  return line + neighborhoods.line_start * row_step;
}

/// Rows from one on that are in one line.
INLINE intptr_t NAME(rows_of_line)(const glow_neighborhoods *neighborhoods, intptr_t row, intptr_t rows) {
  if (!neighborhoods->line_rows) return rows - row;
  const intptr_t left = neighborhoods->line_rows - (row + neighborhoods->line_start) % neighborhoods->line_rows;
  return left < rows - row ? left : rows - row;
}

/// One block: `rows` rows from `first` on and `vectors` vectors from `panel` on.
INLINE void NAME(block)(
    const int rows, const int vectors, const glow_product *product, intptr_t first, intptr_t panel) {
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
  // One pointer for three rows, which are one, two and no distances away from it: more would not fit in the registers.
  const intptr_t row = product->a_row * (intptr_t)sizeof(float);
  const intptr_t segments = product->neighborhoods.segments ? product->neighborhoods.segments : 1;
  const intptr_t run = inner / segments;
  const float *start = product->a + NAME(row_offset)(product->neighborhoods, product->a_row, first);
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

  if (is_full) {
    NAME(finish)(rows, vectors, 1, product, &place, sums);
  } else {
    NAME(finish)(rows, vectors, 0, product, &place, sums);
  }
}

// Panels have zeros beyond the last column.
#define READ_B(v) (GRADIENTS_PACK_B ? LOAD(b + (v) * LANES) : READ(b, v))

/// One block of a gradient, up to ROWS rows and two vectors of columns: C + Aᵀ·B or, where nothing accumulates, Aᵀ·B.
INLINE void NAME(gradient_chains)(
    const int rows, const int vectors, const int is_full, const glow_gradient *block, const NAME(place) *place) {
  VECTOR sums[ROWS][2];
  UNROLL for (int r = 0; r < rows; ++r) {
    UNROLL for (int v = 0; v < vectors; ++v) sums[r][v] = ZERO();
  }
  if (block->accumulate) {
    // Gradients of weights are too many for the near caches: those of the next columns are asked for beforehand.
    UNROLL for (int r = 0; r < rows; ++r) {
      UNROLL for (int v = 0; v < vectors * LANES; v += 16) {
        __builtin_prefetch(place->c + r * block->c_row + 2 * LANES + v, 1);
      }
    }
    UNROLL for (int r = 0; r < rows; ++r) {
      UNROLL for (int v = 0; v < vectors; ++v) sums[r][v] = READ(place->c + r * block->c_row, v);
    }
  }
  const glow_neighborhoods *lines = &block->neighborhoods;
  const float *line = block->a, *a = line + lines->line_start * block->a_row, *b = block->b;
  intptr_t left = block->inner, rows_left = lines->line_rows ? lines->line_rows - lines->line_start : left;
  while (left > 0) {
    if (rows_left > left) rows_left = left;
    left -= rows_left;
    for (; rows_left > 0; --rows_left) {
      const VECTOR x0 = READ_B(0), x1 = vectors == 2 ? READ_B(1) : x0;
      // The columns of the next block.
      __builtin_prefetch(a + 2 * ROWS - 1);
      UNROLL for (int r = 0; r < rows; ++r) {
        const VECTOR y = FILL(a[r]);
        sums[r][0] = MULTIPLY_ADD(y, x0, sums[r][0]);
        if (vectors == 2) sums[r][1] = MULTIPLY_ADD(y, x1, sums[r][1]);
      }
      a += block->a_row;
      b += block->b_row;
    }
    a = line += lines->line_step;
    rows_left = lines->line_rows;
  }
  UNROLL for (int r = 0; r < rows; ++r) {
    UNROLL for (int v = 0; v < vectors; ++v) WRITE(place->c + r * block->c_row, v, sums[r][v]);
  }
}

INLINE void NAME(gradient_block)(const int rows, const int vectors, const glow_gradient *block) {
  const intptr_t width = block->columns;
  const NAME(place) place = {block->c, 0, 0, {MASK_OF(width), MASK_OF(width - LANES)}};
  if (width >= vectors * LANES) {
    NAME(gradient_chains)(rows, vectors, 1, block, &place);
  } else {
    NAME(gradient_chains)(rows, vectors, 0, block, &place);
  }
}

// A function for each number of rows and of vectors.

typedef void (*NAME(block_function))(const glow_product *, intptr_t first, intptr_t panel);
typedef void (*NAME(gradient_function))(const glow_gradient *);

#define BLOCK(rows, vectors) \
  TARGET static void NAME(block_##rows##_##vectors)(const glow_product *product, intptr_t first, intptr_t panel) { \
    NAME(block)(rows, vectors, product, first, panel); \
  } \
  TARGET static void NAME(gradient_##rows##_##vectors)(const glow_gradient *block) { \
    NAME(gradient_block)(rows, vectors, block); \
  }
#define BLOCKS(rows) BLOCK(rows, 1) BLOCK(rows, 2)
BLOCKS(1) BLOCKS(2) BLOCKS(3) BLOCKS(4) BLOCKS(5) BLOCKS(6)
#if ROWS > 6
BLOCKS(7) BLOCKS(8) BLOCKS(9) BLOCKS(10) BLOCKS(11) BLOCKS(12) BLOCKS(13) BLOCKS(14)
#endif

/// By rows − 1 and vectors − 1.
#define ENTRY(kind, rows) {NAME(kind##_##rows##_1), NAME(kind##_##rows##_2)}
#define ENTRIES(kind) ENTRY(kind, 1), ENTRY(kind, 2), ENTRY(kind, 3), ENTRY(kind, 4), ENTRY(kind, 5), ENTRY(kind, 6)
#if ROWS > 6
#define MORE_ENTRIES(kind) \
  ENTRY(kind, 7), ENTRY(kind, 8), ENTRY(kind, 9), ENTRY(kind, 10), ENTRY(kind, 11), ENTRY(kind, 12), ENTRY(kind, 13), \
      ENTRY(kind, 14)
#else
#define MORE_ENTRIES(kind)
#endif
static const NAME(block_function) NAME(blocks)[ROWS][2] = {ENTRIES(block), MORE_ENTRIES(block)};
static const NAME(gradient_function) NAME(gradients)[ROWS][2] = {ENTRIES(gradient), MORE_ENTRIES(gradient)};

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
  for (intptr_t panel = 0; panel < panels; panel += PANELS(panel, panels)) {
    intptr_t first = 0;
    while (first < product->rows) {
      const intptr_t line = NAME(rows_of_line)(&product->neighborhoods, first, product->rows);
      const intptr_t blocks = (line + ROWS - 1) / ROWS;
      const intptr_t smaller = line / blocks, larger = line % blocks;
      for (intptr_t block = 0; block < blocks; ++block) {
        const intptr_t rows = smaller + (block < larger);
        NAME(blocks)[rows - 1][VECTORS(panel, panels) - 1](product, first, panel);
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

TARGET void NAME(glow_add_gradient)(const glow_gradient *gradient, float *panels_of_b) {
  const intptr_t segments = gradient->neighborhoods.segments ? gradient->neighborhoods.segments : 1;
  const intptr_t run = gradient->rows / segments;
  const intptr_t blocks = (run + ROWS - 1) / ROWS;
  // Without rows too, which leave zeros where nothing is to be added to.
  for (intptr_t start = 0; start == 0 || start < gradient->inner; start += GRADIENT_ROWS) {
    glow_gradient part = *gradient;
    part.inner = gradient->inner - start < GRADIENT_ROWS ? gradient->inner - start : GRADIENT_ROWS;
    part.accumulate = gradient->accumulate || start > 0;
    part.a += NAME(line_of)(&part.neighborhoods, part.a_row, start);
    part.b += start * part.b_row;
    if (GRADIENTS_PACK_B) NAME(pack_rows)(part.b, part.b_row, part.inner, part.columns, panels_of_b);
    for (intptr_t segment = 0; segment < segments; ++segment) {
      intptr_t first = 0;
      for (intptr_t number = 0; number < blocks; ++number) {
        glow_gradient block = part;
        block.rows = run / blocks + (number < run % blocks);
        block.a += segment * part.neighborhoods.segment_step + first;
        if (GRADIENTS_PACK_B) block.b_row = glow_panel_columns;
        for (intptr_t column = 0; column < part.columns; column += 2 * LANES) {
          block.b = GRADIENTS_PACK_B ? panels_of_b + column * part.inner : part.b + column;
          block.c = part.c + (segment * run + first) * part.c_row + column;
          block.columns = part.columns - column;
          NAME(gradients)[block.rows - 1][block.columns > LANES](&block);
        }
        first += block.rows;
      }
    }
  }
}
