/* Figures of all nodes together, at two looks: rates and quantiles of what happened between them.
 * A figure that has become smaller (its process has started anew) counts as one where nothing
 * happened. */
#ifndef DOORCTL_FIGURES_H
#define DOORCTL_FIGURES_H

#include <stdbool.h>
#include <stdint.h>

#include "schema/schema.h"

enum { FIGURES_MAX = 4096, FIGURE_NAME_SIZE = 121 };

struct figure {
    char name[FIGURE_NAME_SIZE];
    int64_t value, before; /* Of all nodes together. */
};

/* All zero at the start. */
struct figures {
    uint32_t count;
    int64_t at, before; /* Times of this look and of the one before; 0 = there was none. */
    struct figure rows[FIGURES_MAX];
};

/* A new look: what was added so far is of the one before. */
void figures_look(struct figures *self, int64_t at);
/* One node's figure; more than FIGURES_MAX are not kept. */
void figures_add(struct figures *self, struct text name, int64_t value);

/* Per second; 0 when there was no time between the looks. */
double figures_rate(const struct figures *self, const char *name);

/* What this share of the cases between the looks stayed below: the upper bound of a bucket, in
 * seconds, over all label sets of the histogram.  0 when there were no cases.  `above`: it is more
 * than that, the histogram has no larger bound. */
struct figure_quantile {
    double seconds;
    bool above;
} figures_quantile(const struct figures *self, const char *histogram, double share);

#endif
