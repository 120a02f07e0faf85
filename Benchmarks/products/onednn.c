// Version 2; the third has other functions for the same.
#include <dnnl.h>
#include <stdio.h>
#include <stdlib.h>

#include "makers.h"

static void check(dnnl_status_t status) {
  if (status == dnnl_success) return;
  fprintf(stderr, "oneDNN: status %d\n", (int)status);
  exit(1);
}

static int nothing(int variant) { return variant == 0; }

static void multiply_plain(void) {
  check(dnnl_sgemm('N', 'N', rows, columns, inner, 1, a, inner, b, columns, 0, c, columns));
}

static dnnl_engine_t engine;
static dnnl_stream_t stream;
static dnnl_primitive_t matmul;
static dnnl_memory_t source, weights, result;

static dnnl_memory_desc_t description(int height, int width, dnnl_format_tag_t order) {
  dnnl_memory_desc_t found;
  check(dnnl_memory_desc_init_by_tag(&found, 2, (dnnl_dims_t){height, width}, dnnl_f32, order));
  return found;
}

static dnnl_memory_t memory(const dnnl_memory_desc_t *description, void *values) {
  dnnl_memory_t found;
  check(dnnl_memory_create(&found, description, engine, values));
  return found;
}

// Destroys what was made for another product.
static void forget(void) {
  if (!matmul) return;
  dnnl_primitive_destroy(matmul);
  dnnl_memory_destroy(source), dnnl_memory_destroy(weights), dnnl_memory_destroy(result);
}

static int prepare(int variant) {
  if (variant > 0) return 0;
  if (!engine) {
    check(dnnl_engine_create(&engine, dnnl_cpu, 0));
    check(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags));
  }
  forget();
  const dnnl_memory_desc_t of_a = description(rows, inner, dnnl_ab), of_c = description(rows, columns, dnnl_ab),
                           of_b = description(inner, columns, dnnl_ab),
                           any = description(inner, columns, dnnl_format_tag_any);
  dnnl_matmul_desc_t operation;
  check(dnnl_matmul_desc_init(&operation, &of_a, &any, NULL, &of_c));
  dnnl_primitive_desc_t plan;
  check(dnnl_primitive_desc_create(&plan, &operation, NULL, engine, NULL));
  check(dnnl_primitive_create(&matmul, plan));
  source = memory(&of_a, a), result = memory(&of_c, c);
  weights = memory(dnnl_primitive_desc_query_md(plan, dnnl_query_weights_md, 0), DNNL_MEMORY_ALLOCATE);

  dnnl_memory_t plain = memory(&of_b, b);
  dnnl_primitive_desc_t reorder_plan;
  check(dnnl_reorder_primitive_desc_create(
      &reorder_plan, &of_b, engine, dnnl_primitive_desc_query_md(plan, dnnl_query_weights_md, 0), engine, NULL));
  dnnl_primitive_t reorder;
  check(dnnl_primitive_create(&reorder, reorder_plan));
  const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, plain}, {DNNL_ARG_TO, weights}};
  check(dnnl_primitive_execute(reorder, stream, 2, arguments));
  check(dnnl_stream_wait(stream));
  dnnl_primitive_destroy(reorder), dnnl_primitive_desc_destroy(reorder_plan), dnnl_memory_destroy(plain);
  dnnl_primitive_desc_destroy(plan);
  return 1;
}

static void multiply(void) {
  const dnnl_exec_arg_t arguments[] = {
      {DNNL_ARG_SRC, source}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, result}};
  check(dnnl_primitive_execute(matmul, stream, 3, arguments));
  check(dnnl_stream_wait(stream));
}

static void describe(void) {
  const dnnl_version_t *version = dnnl_version();
  printf("oneDNN %d.%d.%d\n", version->major, version->minor, version->patch);
}

const maker onednn_sgemm = {"oneDNN sgemm", nothing, multiply_plain, describe};
const maker onednn_matmul = {"oneDNN, reordered", prepare, multiply, NULL};
