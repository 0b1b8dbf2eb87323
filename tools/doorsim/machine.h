/* What a figure was measured on.  Quoting a figure without it says nothing. */
#ifndef DOORSIM_MACHINE_H
#define DOORSIM_MACHINE_H

#include <jansson.h>

/* {"processor", "cores", "memory_gib", "kernel", "system", "load_before", "at"}: a new reference.
 */
json_t *machine_describe(void);

#endif
