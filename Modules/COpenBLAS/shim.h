#pragma once
#include <cblas.h>

// Exported, but in no header: one of the buffers that each concurrent caller of a product works in.
void *blas_memory_alloc(int position);
void blas_memory_free(void *buffer);
