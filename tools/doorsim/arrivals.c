#include "tools/doorsim/arrivals.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool add_time(struct arrivals *self, size_t *capacity, int64_t at) {
    if (self->recorded_count == *capacity) {
        size_t more = *capacity == 0 ? 4096 : *capacity * 2;
        int64_t *times = realloc(self->recorded, more * sizeof *times);
        if (times == NULL) return false;
        self->recorded = times;
        *capacity = more;
    }
    self->recorded[self->recorded_count++] = at;
    return true;
}

static bool read_times(struct arrivals *self) {
    const char *path = self->wish.path;
    FILE *from = fopen(path, "re");
    char line[64];
    size_t capacity = 0, number = 0;
    int64_t last = 0;
    bool good = from != NULL;
    if (!good) fprintf(stderr, "doorsim: could not read %s: %s\n", path, strerror(errno));
    while (good && fgets(line, sizeof line, from) != NULL) {
        char *end;
        double seconds = strtod(line, &end);
        number++;
        good = end != line && (*end == '\n' || *end == '\0') && seconds >= 0 && seconds < 1e9 &&
               llround(seconds * 1e9) >= last;
        if (!good) {
            fprintf(stderr, "doorsim: %s line %zu is not a time, or falls\n", path, number);
            break;
        }
        last = llround(seconds * 1e9);
        if (self->wish.duration_ns > 0 && last >= self->wish.duration_ns) break;
        good = add_time(self, &capacity, last);
    }
    if (from != NULL) fclose(from);
    if (good && self->recorded_count > 0) self->wish.duration_ns = last + 1;
    return good;
}

bool arrivals_init(struct arrivals *self, const struct arrivals_wish *wish) {
    *self = (struct arrivals){ .wish = *wish, .random = wish->seed };
    if (wish->curve == CURVE_file) return read_times(self);
    bool good = wish->duration_ns >= 0 && (wish->rate > 0 || wish->at_once > 0) &&
                wish->rate >= 0 && wish->from_rate >= 0;
    if (!good) fprintf(stderr, "doorsim: a load needs a rate or a spike\n");
    return good;
}

void arrivals_fini(struct arrivals *self) {
    free(self->recorded);
    *self = (struct arrivals){ 0 };
}

/* Uniform in (0, 1]. */
static double draw(struct arrivals *self) {
    uint64_t mixed = self->random += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    mixed ^= mixed >> 31;
    return (double)((mixed >> 11) + 1) * 0x1p-53;
}

/* When the growing sum of a rate that changes evenly reaches n: the smaller root of
 * n = from * t + (to - from) / (2 * duration) * t * t, in the form that does not cancel. */
static double ramp_time(const struct arrivals_wish *wish, double n) {
    double duration = (double)wish->duration_ns / 1e9;
    double slope = (wish->rate - wish->from_rate) / duration;
    double under = wish->from_rate * wish->from_rate + 2 * slope * n;
    if (under < 0) return INFINITY; /* A falling rate never gets there. */
    double below = wish->from_rate + sqrt(under);
    return below > 0 ? 2 * n / below : INFINITY;
}

int64_t arrivals_next(struct arrivals *self) {
    const struct arrivals_wish *wish = &self->wish;
    if (self->spiked < wish->at_once) {
        self->spiked++;
        return 0;
    }
    double n = (double)self->made++, at = 0;
    switch (wish->curve) {
    case CURVE_constant: at = wish->rate > 0 ? n / wish->rate : INFINITY; break;
    case CURVE_poisson:
        self->at_s += wish->rate > 0 ? -log(draw(self)) / wish->rate : INFINITY;
        at = self->at_s;
        break;
    case CURVE_ramp: at = n > 0 ? ramp_time(wish, n) : 0; break;
    case CURVE_file:
        return self->made <= self->recorded_count ? self->recorded[self->made - 1] : -1;
    }
    if (!(at * 1e9 < (double)wish->duration_ns)) return -1;
    return (int64_t)(at * 1e9);
}

uint64_t arrivals_most(const struct arrivals *self) {
    const struct arrivals_wish *wish = &self->wish;
    double duration = (double)wish->duration_ns / 1e9, mean = 0;
    switch (wish->curve) {
    case CURVE_constant: mean = wish->rate * duration; break;
    case CURVE_poisson: mean = wish->rate * duration + 5 * sqrt(wish->rate * duration) + 10; break;
    case CURVE_ramp: mean = (wish->rate + wish->from_rate) / 2 * duration; break;
    case CURVE_file: mean = (double)self->recorded_count; break;
    }
    return wish->at_once + (uint64_t)mean + 1;
}
