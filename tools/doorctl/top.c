/* top: the shop, live.  Everything it shows comes from commands that anybody may give by hand:
 * node list, node status, sale list, sale show, reconcile. */
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "broker/clock.h"
#include "schema/json.h"
#include "schema/timefmt.h"
#include "tools/doorctl/doorctl.h"
#include "tools/doorctl/figures.h"

enum { SALES_MAX = 8, LOTS_MAX = 64, TITLE_SIZE = 41, NODES_MAX = 128 };

struct sale_line {
    int64_t sale_id;
    enum sale_state state;
    char title[TITLE_SIZE];
};

struct lot_line {
    int64_t lot_id, sale_id, allocated, available, sold;
    uint32_t shard;
    char title[TITLE_SIZE];
};

/* The processes whose figures are added up. */
struct node_names {
    uint32_t count;
    char names[NODES_MAX][65];
};

struct view {
    const struct options *options;
    struct figures figures;
    uint32_t sale_count, lot_count;
    struct sale_line sales[SALES_MAX];
    struct lot_line lots[LOTS_MAX];
    uint32_t sales_all, lots_exact, lots_off;
    int64_t off_lot, undecided;
};

static volatile sig_atomic_t ended;

static void end_it(int signal) {
    (void)signal;
    ended = 1;
}

/* ---- Figures ---- */

static void copy_text(char *to, size_t size, struct text from) {
    size_t length = from.size < size - 1 ? from.size : size - 1;
    memcpy(to, from.at, length);
    to[length] = 0;
}

static void on_status(void *context, const struct message *message) {
    struct view *self = context;
    if (message->head.type != MSG_status_row) return;
    const struct status_row *row = BODY(message, status_row);
    figures_add(&self->figures, row->name, row->value);
}

static bool begins(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

/* ---- Sales ---- */

static void on_sale(void *context, const struct message *message) {
    struct view *self = context;
    if (message->head.type != MSG_sale_view) return;
    const struct sale_view *sale = BODY(message, sale_view);
    self->sales_all++;
    bool running = sale->state >= sale_state_warming && sale->state <= sale_state_draining;
    if (!running || self->sale_count == SALES_MAX) return;
    struct sale_line *line = &self->sales[self->sale_count++];
    line->sale_id = sale->sale_id;
    line->state = sale->state;
    copy_text(line->title, sizeof line->title, sale->title);
}

static void on_lot(void *context, const struct message *message) {
    struct view *self = context;
    if (message->head.type != MSG_lot_view || self->lot_count == LOTS_MAX) return;
    const struct lot_view *lot = BODY(message, lot_view);
    struct lot_line *line = &self->lots[self->lot_count++];
    *line = (struct lot_line){ .lot_id = lot->lot_id,
                               .sale_id = lot->sale_id,
                               .allocated = lot->allocated,
                               .available = lot->available,
                               .sold = lot->sold,
                               .shard = lot->shard };
    copy_text(line->title, sizeof line->title, lot->title);
}

static void on_account(void *context, const struct message *message) {
    struct view *self = context;
    if (message->head.type != MSG_reconcile_view) return;
    const struct reconcile_view *account = BODY(message, reconcile_view);
    self->undecided += account->undecided;
    if (account->off.size == 0) {
        self->lots_exact++;
    } else {
        self->lots_off++;
        self->off_lot = account->lot_id;
    }
}

static void on_node(void *context, const struct message *message) {
    struct node_names *nodes = context;
    if (message->head.type != MSG_node_row || nodes->count == NODES_MAX) return;
    copy_text(nodes->names[nodes->count++], sizeof nodes->names[0], BODY(message, node_row)->name);
}

static int look_at_nodes(struct view *self, struct link *link) {
    struct node_list list = { 0 };
    struct node_names nodes = { 0 };
    int code = link_ask(link, MSG_node_list, &list, ROWS, on_node, &nodes);
    for (uint32_t i = 0; i < nodes.count && code == EXIT_done; i++) {
        struct node_status status = { .node = text_of(nodes.names[i]), .buckets = 1 };
        code = link_ask(link, MSG_node_status, &status, ROWS, on_status, self);
        if (code == EXIT_absent) code = EXIT_done; /* Gone meanwhile. */
    }
    return code;
}

static int look(struct view *self, struct link *link) {
    struct sale_rows sales = { 0 };
    struct reconcile reconcile = { 0 };
    figures_look(&self->figures, clock_mono());
    self->sale_count = self->lot_count = self->sales_all = self->lots_exact = self->lots_off = 0;
    self->undecided = 0;
    int code = look_at_nodes(self, link);
    if (code == EXIT_done) code = link_ask(link, MSG_sale_rows, &sales, ROWS, on_sale, self);
    for (uint32_t i = 0; i < self->sale_count && code == EXIT_done; i++) {
        struct sale_show show = { .sale_id = self->sales[i].sale_id };
        code = link_ask(link, MSG_sale_show, &show, ROWS, on_lot, self);
        if (code == EXIT_absent) code = EXIT_done; /* Archived meanwhile. */
    }
    if (code == EXIT_done) code = link_ask(link, MSG_reconcile, &reconcile, ROWS, on_account, self);
    return code;
}

/* ---- Showing ---- */

static double requests(const struct view *self, char status) {
    char name[FIGURE_NAME_SIZE];
    snprintf(name, sizeof name, "doorbuster_http_requests_total{status=\"%cxx\"}", status);
    return figures_rate(&self->figures, name);
}

static void print_latency(const struct view *self, const char *what, const char *histogram,
                          double share) {
    struct figure_quantile value = figures_quantile(&self->figures, histogram, share);
    printf("%s%s%.1f ms", what, value.above ? ">" : "", value.seconds * 1000);
}

static double request_ms(const struct view *self, double share) {
    return figures_quantile(&self->figures, "doorbuster_http_request_seconds", share).seconds *
           1000;
}

static void print_sales(const struct view *self) {
    printf("%u sales, %u of them running\n", self->sales_all, self->sale_count);
    for (uint32_t i = 0; i < self->sale_count; i++) {
        const struct sale_line *sale = &self->sales[i];
        printf("\n  %-40s %-9s %" PRId64 "\n", sale->title,
               state_name(KIND_sale_state, sale->state), sale->sale_id);
        for (uint32_t k = 0; k < self->lot_count; k++) {
            const struct lot_line *lot = &self->lots[k];
            if (lot->sale_id != sale->sale_id) continue;
            printf("    %-38s sold %6" PRId64 " of %6" PRId64 "  left %6" PRId64 "  shard %u\n",
                   lot->title, lot->sold, lot->allocated, lot->available, lot->shard);
        }
    }
}

/* Everything that waits or lags: mailboxes, journal, lag, credit; only what is not 0. */
static void print_queues(const struct view *self) {
    static const char *const kinds[] = { "doorbuster_mailbox_depth", "doorbuster_journal",
                                         "doorbuster_order_journal", "doorbuster_commit_lag",
                                         "doorbuster_link_" };
    fputs("queues   ", stdout);
    bool any = false;
    for (uint32_t i = 0; i < self->figures.count; i++) {
        const struct figure *figure = &self->figures.rows[i];
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
            if (!begins(figure->name, kinds[k]) || figure->value == 0) continue;
            if (strstr(figure->name, "_bucket{") || strstr(figure->name, "_total")) continue;
            printf(" %s %" PRId64, figure->name + strlen("doorbuster_"), figure->value);
            any = true;
        }
    }
    puts(any ? "" : " nothing waits");
}

static void print_view(const struct view *self) {
    char at[TIMEFMT_SIZE];
    printf("doorbuster  %s  %s\n\n", self->options->endpoint, timefmt_write(clock_now(), at));
    print_sales(self);
    printf("\nrequests  %.0f/s ok, %.0f/s refused, %.0f/s failed\n", requests(self, '2'),
           requests(self, '4'), requests(self, '5'));
    print_latency(self, "latency   p50 ", "doorbuster_http_request_seconds", 0.5);
    print_latency(self, ", p99 ", "doorbuster_http_request_seconds", 0.99);
    print_latency(self, "; Redis p99 ", "doorbuster_redis_call_seconds", 0.99);
    putchar('\n');
    print_queues(self);
    if (self->lots_off == 0)
        printf("identity  exact for all %u lots, %" PRId64 " units undecided\n", self->lots_exact,
               self->undecided);
    else
        printf("identity  OFF for %u of %u lots, such as %" PRId64 "; see doorctl reconcile\n",
               self->lots_off, self->lots_off + self->lots_exact, self->off_lot);
}

static void print_json(const struct view *self) {
    static char bytes[1 << 16];
    char at[TIMEFMT_SIZE];
    struct json_out json = { .at = bytes, .capacity = sizeof bytes };
    printf("{\"at\":\"%s\",\"sales\":[", timefmt_write(clock_now(), at));
    for (uint32_t i = 0; i < self->lot_count; i++) {
        const struct lot_line *lot = &self->lots[i];
        json.size = 0;
        json_quote(&json, text_of(lot->title));
        printf("%s{\"sale_id\":\"%" PRId64 "\",\"lot_id\":\"%" PRId64 "\",\"title\":%.*s,"
               "\"sold\":%" PRId64 ",\"allocated\":%" PRId64 ",\"available\":%" PRId64
               ",\"shard\":%u}",
               i > 0 ? "," : "", lot->sale_id, lot->lot_id, (int)json.size, bytes, lot->sold,
               lot->allocated, lot->available, lot->shard);
    }
    printf("],\"requests\":{\"ok\":%.1f,\"refused\":%.1f,\"failed\":%.1f},", requests(self, '2'),
           requests(self, '4'), requests(self, '5'));
    printf("\"latency_ms\":{\"p50\":%.2f,\"p99\":%.2f},\"undecided\":%" PRId64
           ",\"identity\":{\"exact\":%u,\"off\":%u}}\n",
           request_ms(self, 0.5), request_ms(self, 0.99), self->undecided, self->lots_exact,
           self->lots_off);
}

int top(const struct options *options) {
    static struct view view;
    struct link link;
    bool live = isatty(STDOUT_FILENO) && !options->json && !options->once;
    view.options = options;
    int code = link_to_door(&link, options);
    if (code != EXIT_done) return code;
    struct sigaction action = { .sa_handler = end_it };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    code = look(&view, &link);
    while (code == EXIT_done && !ended) {
        usleep(1000000); /* Rates need two looks. */
        if (ended) break;
        code = look(&view, &link);
        if (code != EXIT_done) break;
        if (live) fputs("\033[H\033[2J", stdout);
        if (options->json)
            print_json(&view);
        else
            print_view(&view);
        fflush(stdout);
        if (options->once || (!live && !options->json)) break;
    }
    if (ended) code = EXIT_done;
    link_end(&link);
    return code;
}
