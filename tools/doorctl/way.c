/* trace ORDER: what is kept of an order and what was said about it, in time order. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/batch.h"
#include "schema/timefmt.h"
#include "tools/doorctl/doorctl.h"

static void keep(void *context, const struct message *message) {
    if (message->head.type == MSG_trace_row) batch_append(context, message);
}

/* By time; steps of one instant stay as they came. */
static int earlier(const void *a, const void *b) {
    const struct message *left = *(const struct message *const *)a;
    const struct message *right = *(const struct message *const *)b;
    int64_t first = BODY(left, trace_row)->at, second = BODY(right, trace_row)->at;
    if (first != second) return first < second ? -1 : 1;
    return left < right ? -1 : 1;
}

/* 0.350ms, 12.0ms, 3.2s, 5m12s */
static void print_span(int64_t ns) {
    double seconds = (double)ns / 1e9;
    if (seconds < 1)
        printf("%9.3fms", seconds * 1000);
    else if (seconds < 60)
        printf("%10.3fs", seconds);
    else
        printf("%7" PRId64 "m%02ds", ns / 60000000000, (int)(ns / 1000000000 % 60));
}

static void print_step(const struct trace_row *row, int64_t before) {
    char at[TIMEFMT_SIZE];
    printf("%s +", timefmt_write(row->at, at));
    print_span(row->at - before);
    printf("  %-14.*s %.*s", (int)row->source.size, row->source.at, (int)row->what.size,
           row->what.at);
    if (row->detail.size > 0) printf("  %.*s", (int)row->detail.size, row->detail.at);
    if (row->node != 0) printf("  node=%" PRIu32, row->node);
    putchar('\n');
}

int way(const struct options *options, const struct door_command *door, const void *body) {
    struct link link;
    struct batch rows;
    int code = link_to_door(&link, options);
    if (code != EXIT_done) return code;
    batch_init(&rows);
    code = link_ask(&link, door->message, body, door->answers, keep, &rows);
    struct node_trace messages = { .order_id = ((const struct order_trace *)body)->order_id };
    if (code == EXIT_done) code = link_ask(&link, MSG_node_trace, &messages, ROWS, keep, &rows);
    link_end(&link);
    const struct message **order = malloc((rows.count + 1) * sizeof *order);
    if (order == NULL) abort();
    for (uint32_t i = 0; i < rows.count; i++)
        order[i] = &rows.items[i];
    qsort(order, rows.count, sizeof *order, earlier);
    for (uint32_t i = 0; i < rows.count; i++) {
        if (options->json)
            print_row(stdout, true, order[i]);
        else
            print_step(BODY(order[i], trace_row), BODY(order[i > 0 ? i - 1 : 0], trace_row)->at);
    }
    if (rows.count > 1 && !options->json) {
        fputs("all in ", stdout);
        print_span(BODY(order[rows.count - 1], trace_row)->at - BODY(order[0], trace_row)->at);
        putchar('\n');
    }
    free(order);
    batch_fini(&rows);
    return code;
}
