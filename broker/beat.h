/* Whether the threads of this process go round: what the service manager's watchdog is told.
 *
 * A thread that has been seen once is expected again; one whose loop hangs in a handler, a library
 * or a lock makes the oldest beat old.  Thread safe, never blocks. */
#ifndef BROKER_BEAT_H
#define BROKER_BEAT_H

#include <stdint.h>

enum { BEATS_MAX = 64 };

/* Thread number `thread` is alive now (monotonic time). */
void beat(uint32_t thread, int64_t now);
/* It has ended in order: nobody waits for it. */
void beat_end(uint32_t thread);

/* Age of the oldest beat in ns, and whose it is; 0 when nobody beats. */
int64_t beat_oldest(int64_t now, uint32_t *thread);

#endif
