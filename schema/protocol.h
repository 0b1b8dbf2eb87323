/* Versions of what nodes say to each other.  A node speaks all from the oldest to the newest it
 * knows, two of them use the highest that both know, and without one in common they do not work
 * together: the broker refuses who shares none with it, links refuse each other's frames.
 *
 *   1   the first
 *   2   a frame between nodes tells its sender's time, so that deadlines do not depend on two
 * clocks
 */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include <stdint.h>

/* tests/e2e/test_versions.sh builds an older and a later program. */
#ifndef PROTOCOL_OLDEST
#define PROTOCOL_OLDEST 1
#endif
#ifndef PROTOCOL_NEWEST
#define PROTOCOL_NEWEST 2
#endif

/* From here on a frame's head has sent_at. */
enum { PROTOCOL_SENT_AT = 2 };

/* The highest that is in both ranges; 0 when there is none. */
static inline uint32_t protocol_common(uint32_t a_min, uint32_t a_max, uint32_t b_min,
                                       uint32_t b_max) {
    uint32_t high = a_max < b_max ? a_max : b_max, low = a_min > b_min ? a_min : b_min;
    return high >= low ? high : 0;
}

#endif
