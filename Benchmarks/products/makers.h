// What makes products [rows × inner]·[inner × columns] → [rows × columns], row by row, on one thread.
#pragma once

#include <stddef.h>

typedef struct {
  const char *name;
  // Makes ready what does not count, such as weights in the order that is wanted. Variants are numbered from 0 on; 0 if there is
  // none of this number.
  int (*prepare)(int variant);
  void (*multiply)(void);
  // Prints what it is; may be NULL.
  void (*describe)(void);
} maker;

// The product at hand: c ← a·b.
extern int rows, inner, columns;
extern float *a, *b, *c;
// Room for b in another order.
extern float *panels;

// LIBXSMM on weights that are packed into blocks of 16, 32 or 64 columns.
extern const maker libxsmm;
// oneDNN's product of plain matrices, and its matmul of weights in the order that it asks for.
extern const maker onednn_sgemm, onednn_matmul;
// Opened when it runs, because its symbols are OpenBLAS's too.
extern const maker blis;
