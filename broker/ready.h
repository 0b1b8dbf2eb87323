/* Whether the parts of this process are ready for shoppers: what /readyz tells.
 * A part is named once by the first ready_set(); the process is ready when there are parts and all
 * of them are.  Thread safe, never blocks for long; names are literals, kept by address. */
#ifndef BROKER_READY_H
#define BROKER_READY_H

#include <stdbool.h>

enum { READY_PARTS_MAX = 32 };

void ready_set(const char *part, bool ready);

bool ready_all(void);

/* A part that is not ready: its name, or "start" when no part has reported yet; NULL = all are. */
const char *ready_missing(void);

/* Forgets all parts.  For tests. */
void ready_reset(void);

#endif
