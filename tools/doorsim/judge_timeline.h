/* When units of a lot were taken and came back, as PostgreSQL dated it. */
#ifndef DOORSIM_JUDGE_TIMELINE_H
#define DOORSIM_JUDGE_TIMELINE_H

#include "tools/doorsim/judge.h"

struct timelines;

/* NULL when memory is out.  The facts are sorted, and borrowed until close. */
struct timelines *timelines_open(const struct facts *facts);
void timelines_close(struct timelines **self);

/* True when a unit of the lot came back between the two times, both included. */
bool timelines_returned(const struct timelines *self, int64_t lot, int64_t from, int64_t to);

/* True when at least `quantity` units lay free during all of the interval.  An order that gave its
 * units back and got some again (late money) counts as holding all the time: when in doubt, not
 * free. */
bool timelines_free(const struct timelines *self, int64_t lot, int64_t quantity, int64_t from,
                    int64_t to);

#endif
