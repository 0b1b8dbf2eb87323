/* What operators and shoppers do on a stage. */
#include "broker/clock.h"
#include "tools/doorsim/options.h"
#include "tools/doorsim/stage.h"

#include <inttypes.h>
#include <string.h>

#define MS INT64_C(1000000)
#define S  (1000 * MS)

json_t *stage_ctl(struct stage *self, unsigned tries, const char *const *words) {
    char program[STAGE_PATH + 20], out[8000];
    const char *all[STAGE_WORDS] = { program, "--socket", self->door, "--json" };
    unsigned count = 4;
    (void)snprintf(program, sizeof program, "%s/doorctl", self->build);
    while (*words != NULL && count + 1 < STAGE_WORDS)
        all[count++] = *words++;
    for (unsigned i = 0; i < tries && !stage_stopped(); i++) {
        if (i > 0) stage_sleep(self, 200 * MS);
        /* A frame that the server had not answered when it died gets no answer any more. */
        if (stage_run(self, out, sizeof out, 3 * S, all) != 0) continue;
        out[strcspn(out, "\n")] = '\0';
        json_t *row = json_loads(out, 0, NULL);
        if (row != NULL) return row;
    }
    return NULL;
}

/* A member that is an id; 0 when there is none. */
static int64_t take_id(json_t *row, const char *name) {
    int64_t id = 0;
    const char *text = json_string_value(json_object_get(row, name));
    if (text == NULL || !options_number(text, 1, INT64_MAX, &id)) id = 0;
    json_decref(row);
    return id;
}

#define CTL(self, ...) stage_ctl(self, 60, (const char *const[]){ __VA_ARGS__, NULL })

static const char *number(char *to, int64_t value) {
    (void)snprintf(to, 24, "%" PRId64, value);
    return to;
}

bool stage_sale(struct stage *self, int64_t units, const char *pay_window, int64_t *sale,
                int64_t *lot) {
    char sale_text[24], product[24], sku[24], all[24], some[24];
    *sale =
        take_id(CTL(self, "sale", "create", "On stage", "now", "+1d", "--pay-window", pay_window),
                "sale_id");
    if (*sale == 0) return false;
    number(product, take_id(CTL(self, "product", "add", "Lantern"), "product_id"));
    number(sku, take_id(CTL(self, "sku", "add", product, "red"), "sku_id"));
    json_decref(CTL(self, "stock", "receive", sku, number(all, units + 1000)));
    *lot = take_id(CTL(self, "sale", "add-lot", number(sale_text, *sale), sku, number(some, units),
                       "1999CNY", "--per-buyer-limit", "1"),
                   "lot_id");
    /* Open already counts as done: the answer of the first try may be what was lost. */
    for (int tries = 0; tries < 60 && *lot != 0 && !stage_stopped(); tries++) {
        char state[16], sql[100];
        json_decref(stage_ctl(self, 1, (const char *const[]){ "sale", "open", sale_text, NULL }));
        (void)snprintf(sql, sizeof sql, "SELECT state FROM sale WHERE sale_id = %" PRId64, *sale);
        if (stage_sql(self, sql, state, sizeof state) && strcmp(state, "5") == 0) return true;
        stage_sleep(self, 200 * MS);
    }
    return false;
}

bool stage_seed(struct stage *self, unsigned count) {
    char program[STAGE_PATH + 20], out[1000], text[24];
    (void)snprintf(program, sizeof program, "%s/doorsim", self->build);
    int status =
        STAGE_RUN(self, out, sizeof out, 60 * S, program, "seed", "--dsn", "", "--keys", self->keys,
                  "--count", number(text, count), "--out", self->shoppers, "--token-s", "14400");
    if (status != 0 && !stage_stopped()) fprintf(stderr, "doorsim seed: %s\n", out);
    return status == 0;
}

bool stage_reconciled(struct stage *self, int64_t limit_ns) {
    int64_t end = clock_mono() + limit_ns;
    char program[STAGE_PATH + 20], out[4000] = "";
    (void)snprintf(program, sizeof program, "%s/doorctl", self->build);
    while (clock_mono() < end && !stage_stopped()) {
        if (STAGE_RUN(self, out, sizeof out, 5 * S, program, "--socket", self->door, "reconcile") ==
            0)
            return true;
        stage_sleep(self, 100 * MS);
    }
    fprintf(stderr, "reconcile: %s\n", out);
    return false;
}
