/* top: the shop, live.  Everything it shows comes from commands that anybody may give by hand:
 * node list, node status, sale list, sale show, reconcile. */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/clock.h"
#include "schema/json.h"
#include "schema/timefmt.h"
#include "tools/doorctl/doorctl.h"

enum {
    FIGURES_MAX = 4096,
    NAME_SIZE = 121,
    SALES_MAX = 8,
    LOTS_MAX = 64,
    TITLE_SIZE = 41,
    NODES_MAX = 128
};

struct figure {
    char name[NAME_SIZE];
    int64_t value, before; /* Of all nodes together. */
};

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
    struct figure *figures;
    uint32_t figure_count, sale_count, lot_count;
    struct sale_line sales[SALES_MAX];
    struct lot_line lots[LOTS_MAX];
    uint32_t sales_all, lots_exact, lots_off;
    int64_t off_lot, undecided;
    int64_t at, before; /* Times of this look and of the one before; 0 = there was none. */
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

static struct figure *figure_of(struct view *self, const char *name) {
    for (uint32_t i = 0; i < self->figure_count; i++) {
        if (strcmp(self->figures[i].name, name) == 0) return &self->figures[i];
    }
    return NULL;
}

static void on_status(void *context, const struct message *message) {
    struct view *self = context;
    char name[NAME_SIZE];
    if (message->head.type != MSG_status_row) return;
    copy_text(name, sizeof name, BODY(message, status_row)->name);
    struct figure *figure = figure_of(self, name);
    if (figure == NULL && self->figure_count < FIGURES_MAX) {
        figure = &self->figures[self->figure_count++];
        *figure = (struct figure){ 0 };
        memcpy(figure->name, name, sizeof name);
    }
    if (figure != NULL) figure->value += BODY(message, status_row)->value;
}

static double rate(const struct view *self, const char *name) {
    const struct figure *figure = figure_of((struct view *)(uintptr_t)self, name);
    if (figure == NULL || self->before == 0 || self->at <= self->before) return 0;
    return (double)(figure->value - figure->before) * 1e9 / (double)(self->at - self->before);
}

static bool begins(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

/* Upper bound, in ms, of the bucket that this share of the last second's cases fell below; 0 when
 * there were none. */
static double quantile(const struct view *self, const char *histogram, double share) {
    char prefix[NAME_SIZE];
    double most = 0;
    int64_t total = 0, wanted;
    snprintf(prefix, sizeof prefix, "%s_bucket{", histogram);
    for (uint32_t i = 0; i < self->figure_count; i++) {
        const struct figure *figure = &self->figures[i];
        if (begins(figure->name, prefix) && strstr(figure->name, "le=\"+Inf\"") != NULL)
            total += figure->value - figure->before;
    }
    wanted = (int64_t)((double)total * share + 0.999);
    if (total <= 0) return 0;
    for (uint32_t i = 0; i < self->figure_count; i++) { /* In ascending order of `le`. */
        const struct figure *figure = &self->figures[i];
        const char *le = strstr(figure->name, "le=\"");
        if (!begins(figure->name, prefix) || le == NULL) continue;
        most = strtod(le + 4, NULL) * 1000;
        if (figure->value - figure->before >= wanted) break;
    }
    return most;
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
    self->before = self->at;
    self->at = clock_mono();
    self->sale_count = self->lot_count = self->sales_all = self->lots_exact = self->lots_off = 0;
    self->undecided = 0;
    for (uint32_t i = 0; i < self->figure_count; i++) {
        self->figures[i].before = self->figures[i].value;
        self->figures[i].value = 0;
    }
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
    char name[NAME_SIZE];
    snprintf(name, sizeof name, "doorbuster_http_requests_total{status=\"%cxx\"}", status);
    return rate(self, name);
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
    for (uint32_t i = 0; i < self->figure_count; i++) {
        const struct figure *figure = &self->figures[i];
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
    printf("latency   p50 %.1f ms, p99 %.1f ms; Redis p99 %.1f ms\n",
           quantile(self, "doorbuster_http_request_seconds", 0.5),
           quantile(self, "doorbuster_http_request_seconds", 0.99),
           quantile(self, "doorbuster_redis_call_seconds", 0.99));
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
           quantile(self, "doorbuster_http_request_seconds", 0.5),
           quantile(self, "doorbuster_http_request_seconds", 0.99), self->undecided,
           self->lots_exact, self->lots_off);
}

int top(const struct options *options) {
    static struct view view;
    struct link link;
    bool live = isatty(STDOUT_FILENO) && !options->json && !options->once;
    view.options = options;
    view.figures = calloc(FIGURES_MAX, sizeof *view.figures);
    if (view.figures == NULL) abort();
    if (!link_to_door(&link, options)) return EXIT_failed;
    struct sigaction action = { .sa_handler = end_it };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    int code = look(&view, &link);
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
    free(view.figures);
    return code;
}
