/* A run of `doorsim load` as one HTML file: no script, nothing from outside. */
#ifndef DOORSIM_REPORT_H
#define DOORSIM_REPORT_H

#include <jansson.h>
#include <stdbool.h>

/* `run` is what open_json() made, with the account beside it.  False, with a sentence on stderr,
 * when the file cannot be written or the JSON is something else. */
bool report_write(const json_t *run, const char *path);

#endif
