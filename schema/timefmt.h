/* Times as text: RFC 3339 in UTC with milliseconds, as JSON, logs and pages show them.
 * A time is an int64_t, nanoseconds since 1970-01-01T00:00:00Z; before that it is negative.
 * Pure and thread safe: no clock, no zone data, no locale, no allocation. */
#ifndef SCHEMA_TIMEFMT_H
#define SCHEMA_TIMEFMT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TIMEFMT_SIZE = 25 }; /* "2026-11-20T14:35:00.123Z" and the NUL. */

#define TIMEFMT_NS_PER_S  INT64_C(1000000000)
#define TIMEFMT_NS_PER_MS INT64_C(1000000)

/* Writes `time_ns` as text; every int64_t has one.  What is finer than a millisecond is cut
 * towards the past, so that the order of times stays.  Returns `out`. */
const char *timefmt_write(int64_t time_ns, char out[TIMEFMT_SIZE]);

/* Reads an RFC 3339 date-time of exactly `size` bytes: any offset, a fraction of one to nine
 * digits or none, `T` and `Z` in either case.  False, with `*time_ns` unchanged, for anything
 * else: a day the month does not have, a leap second, bytes left over, a time outside of int64_t
 * (years 1677 to 2262). */
bool timefmt_read(const char *text, size_t size, int64_t *time_ns);

#endif
