/* Whether the parts of this process are ready for shoppers: what /readyz tells.
 * A part is named once by the first ready_set(); the process is ready when there are parts and all
 * of them are.  Thread safe, never blocks for long. */
#ifndef BROKER_READY_H
#define BROKER_READY_H

#include <stdbool.h>

enum { READY_PARTS_MAX = 256, READY_NAME_SIZE = 32 };

/* The name is copied, cut at READY_NAME_SIZE - 1. */
void ready_set(const char *part, bool ready);
/* The part is not wanted here any more (a shard has gone to another node), until it is set again.
 */
void ready_forget(const char *part);

bool ready_all(void);

/* A part that is not ready: its name, or "start" when no part has reported yet; NULL = all are.
 * Valid for ever. */
const char *ready_missing(void);

/* Forgets all parts.  For tests. */
void ready_reset(void);

#endif
