/* A run of the open loop as JSON: what compare and report read. */
#ifndef DOORSIM_OPEN_JSON_H
#define DOORSIM_OPEN_JSON_H

#include "tools/doorsim/open_loop.h"

#include <jansson.h>

/* {"count", "p50", "p90", "p99", "p99_9", "p99_99", "max", "mean"}, in ms. */
json_t *times_json(const struct histogram *histogram);

/* A new reference.  `command` is how the run was asked for. */
json_t *open_json(const struct open_plan *plan, const struct open_result *result,
                  const char *command);

/* Writes a file.  False, with a sentence on stderr. */
bool json_save(const json_t *json, const char *path);

#endif
