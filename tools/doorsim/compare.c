/* doorsim compare: two JSON files of load or bench beside each other, number by number.
 *
 * Every number is named by its path; items of a list that have a "name" are named by it, other
 * lists (rounds, series) are left out.  Where both sides have a spread (lowest, highest) and they
 * overlap, the difference is called noise. */
#include "tools/doorsim/commands.h"
#include "tools/doorsim/options.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PATH_MAX_BYTES = 300 };

struct compare {
    unsigned shown, differ;
    double least; /* Differences below this share are not shown; 0: all are. */
};

/* The spread beside a median: "x_median" has "x_lowest" and "x_highest", or plain lowest, highest.
 */
static bool overlap(const json_t *a, const json_t *b) {
    const json_t *a_low = json_object_get(a, "lowest"), *a_high = json_object_get(a, "highest");
    const json_t *b_low = json_object_get(b, "lowest"), *b_high = json_object_get(b, "highest");
    if (!json_is_number(a_low) || !json_is_number(a_high) || !json_is_number(b_low) ||
        !json_is_number(b_high)) {
        return false;
    }
    return json_number_value(a_low) <= json_number_value(b_high) &&
           json_number_value(b_low) <= json_number_value(a_high);
}

static void show(struct compare *self, const char *path, double a, double b, bool noise) {
    double share = fabs(a) > 1e-12 ? b / a - 1 : (double)NAN;
    if (isfinite(share) && fabs(share) < self->least) return;
    self->shown++;
    if (!noise && isfinite(share) && fabs(share) > 0.05) self->differ++;
    printf("%-52s %14.6g %14.6g", path, a, b);
    if (isfinite(share))
        printf(" %+8.1f %%%s\n", 100 * share, noise ? "  (spreads overlap)" : "");
    else
        printf(" %10s\n", "-");
}

static void walk(struct compare *self, const char *path, const json_t *a, const json_t *b) {
    char deeper[PATH_MAX_BYTES];
    const char *name;
    json_t *value;
    size_t index;
    const char *dot = path[0] == '\0' ? "" : ".";
    if (json_is_object(a) && json_is_object(b)) {
        bool noise = overlap(a, b);
        json_object_foreach((json_t *)(uintptr_t)a, name, value) {
            const json_t *other = json_object_get(b, name);
            (void)snprintf(deeper, sizeof deeper, "%s%s%s", path, dot, name);
            if (json_is_number(value) && json_is_number(other))
                show(self, deeper, json_number_value(value), json_number_value(other), noise);
            else
                walk(self, deeper, value, other);
        }
        return;
    }
    if (!json_is_array(a) || !json_is_array(b)) return;
    json_array_foreach(a, index, value) {
        const char *mine = json_string_value(json_object_get(value, "name"));
        size_t at;
        json_t *other;
        if (mine == NULL) return;
        json_array_foreach(b, at, other) {
            const char *theirs = json_string_value(json_object_get(other, "name"));
            if (theirs == NULL || strcmp(mine, theirs) != 0) continue;
            (void)snprintf(deeper, sizeof deeper, "%s%s%s", path, dot, mine);
            walk(self, deeper, value, other);
        }
    }
}

int compare_command(int argc, char **argv) {
    int64_t least = 0;
    const struct option options[] = {
        { "least-percent", OPTION_number, false, &least, 0, 1000,
          "Leave out what differs by less (0: show all)." },
        { 0 },
    };
    if (argc < 3 || argv[1][0] == '-' || argv[2][0] == '-') {
        printf("doorsim compare A.json B.json [--least-percent N]\n");
        return argc > 1 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
    }
    const char *files[] = { argv[1], argv[2] };
    argv[2] = argv[0];
    if (options_read(argc - 2, argv + 2, options, "two runs beside each other") != OPTIONS_run) {
        return 2;
    }
    json_t *runs[2] = { 0 };
    for (int i = 0; i < 2; i++) {
        json_error_t error;
        runs[i] = json_load_file(files[i], 0, &error);
        if (runs[i] == NULL) fprintf(stderr, "doorsim compare: %s: %s\n", files[i], error.text);
    }
    struct compare self = { .least = (double)least / 100 };
    bool good = runs[0] != NULL && runs[1] != NULL;
    if (good) {
        printf("%-52s %14s %14s\n", "", "A", "B");
        walk(&self, "", runs[0], runs[1]);
        printf("%u numbers, %u differ by more than 5 %% and beyond their spread\n", self.shown,
               self.differ);
        if (self.shown == 0) fprintf(stderr, "doorsim compare: they have no number in common\n");
    }
    json_decref(runs[0]);
    json_decref(runs[1]);
    return good && self.shown > 0 ? 0 : 2;
}
