#include "tools/doorsim/crowd.h"

#include "broker/clock.h"
#include "schema/timefmt.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------------------------- timers: a heap
 */

static void heap_put(struct crowd *self, size_t at, struct buyer *buyer) {
    self->heap[at] = buyer;
    buyer->heap_at = at;
}

static void heap_up(struct crowd *self, size_t at) {
    struct buyer *buyer = self->heap[at];
    while (at > 1 && self->heap[at / 2]->wake_at > buyer->wake_at) {
        heap_put(self, at, self->heap[at / 2]);
        at /= 2;
    }
    heap_put(self, at, buyer);
}

static void heap_down(struct crowd *self, size_t at) {
    struct buyer *buyer = self->heap[at];
    for (;;) {
        size_t child = at * 2;
        if (child > self->heap_count) break;
        if (child < self->heap_count &&
            self->heap[child + 1]->wake_at < self->heap[child]->wake_at) {
            child++;
        }
        if (self->heap[child]->wake_at >= buyer->wake_at) break;
        heap_put(self, at, self->heap[child]);
        at = child;
    }
    heap_put(self, at, buyer);
}

static struct buyer *heap_pop(struct crowd *self) {
    struct buyer *first = self->heap[1];
    struct buyer *last = self->heap[self->heap_count--];
    first->heap_at = 0;
    if (self->heap_count > 0) {
        heap_put(self, 1, last);
        heap_down(self, 1);
    }
    return first;
}

void buyer_sleep(struct buyer *self, int64_t delay_ns) {
    struct crowd *crowd = self->crowd;
    self->wake_at = clock_mono() + delay_ns;
    if (self->heap_at == 0) {
        heap_put(crowd, ++crowd->heap_count, self);
        heap_up(crowd, self->heap_at);
        return;
    }
    heap_up(crowd, self->heap_at);
    heap_down(crowd, self->heap_at);
}

/* ------------------------------------------------------------------------------------- the crowd
 */

uint64_t buyer_draw(struct buyer *self, uint64_t bound) {
    /* A Weyl sequence through a mixing function: one word of state, and neighbours are unrelated.
     */
    uint64_t mixed = self->random += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    mixed ^= mixed >> 31;
    return mixed % bound;
}

void buyer_move(struct buyer *self, enum buyer_stage stage) {
    self->crowd->stages[self->stage]--;
    self->crowd->stages[stage]++;
    self->stage = stage;
}

struct http_client *crowd_provider(struct crowd *self, const struct http_url *url) {
    char host[sizeof self->provider_host];
    (void)snprintf(host, sizeof host, "%s:%u", url->host, (unsigned)url->port);
    if (self->provider == NULL) {
        memcpy(self->provider_host, host, sizeof host);
        self->provider = http_client_open(self->loop, &(struct http_client_options){
                                                          .host = url->host,
                                                          .port = url->port,
                                                          .connections = 16,
                                                          .timeout_ns = self->options->timeout_ns,
                                                      });
    }
    return strcmp(self->provider_host, host) == 0 ? self->provider : NULL;
}

static enum buyer_plan draw_plan(struct buyer *buyer, const struct crowd_mix *mix) {
    uint64_t draw = buyer_draw(buyer, 100);
    if (draw < mix->abandon) return PLAN_abandon;
    draw -= mix->abandon;
    if (draw < mix->late) return PLAN_late;
    draw -= mix->late;
    if (draw < mix->cancel) return PLAN_cancel;
    draw -= mix->cancel;
    return draw < mix->keep ? PLAN_keep : PLAN_pay;
}

static void make_buyer(struct crowd *self, size_t i) {
    const struct crowd_options *options = self->options;
    struct buyer *buyer = &self->buyers[i];
    buyer->crowd = self;
    buyer->shopper = &options->shoppers->list[i];
    buyer->random = options->seed * UINT64_C(0x2545f4914f6cdd1d) + i;
    buyer->acts[0].buyer = buyer;
    buyer->acts[1].buyer = buyer;
    buyer->lot = options->lots[buyer_draw(buyer, options->lot_count)];
    uint64_t click = buyer_draw(buyer, 100);
    buyer->twice = click < options->mix.twice;
    buyer->impatient = !buyer->twice && click < options->mix.twice + options->mix.impatient;
    buyer->stubborn = buyer_draw(buyer, 100) < options->mix.stubborn;
    buyer->replays = buyer_draw(buyer, 3) == 0;
    buyer->plan = draw_plan(buyer, &options->mix);
    self->stages[BUYER_ticket]++;
}

/* The doors open when every ticket is decided and the sale's own time has come. */
static void open_doors(struct crowd *self) {
    const struct crowd_options *options = self->options;
    if (self->doors_open || self->stages[BUYER_ticket] > 0) return;
    if (options->opens_at > clock_now()) return;
    self->doors_open = true;
    self->doors_at = self->last_change = clock_mono();
    for (size_t i = 0; i < self->count; i++) {
        struct buyer *buyer = &self->buyers[i];
        if (buyer->stage != BUYER_waiting) continue;
        /* The cube puts half of them into the first eighth of the time. */
        uint64_t draw = buyer_draw(buyer, 1000);
        int64_t parts = (int64_t)(draw * draw * draw / 1000000);
        buyer_sleep(buyer, options->rush_ns / 1000 * parts);
    }
}

static void print_progress(const struct crowd *self, int64_t now, int64_t started) {
    const struct crowd_count *count = &self->result->count;
    if (self->options->progress == NULL) return;
    if (!self->doors_open) {
        fprintf(self->options->progress, "%3" PRId64 " s  before the doors: %" PRIu64 " tickets\n",
                (now - started) / TIMEFMT_NS_PER_S, count->tickets);
    } else {
        fprintf(self->options->progress,
                "%3" PRId64 " s  asked %" PRIu64 " · yes %" PRIu64
                " · in line %u · told sold out %" PRIu64 " · busy %" PRIu64 " · paid %" PRIu64
                " · expired %" PRIu64 " · cancelled %" PRIu64 " · %u still at it\n",
                (now - self->doors_at) / TIMEFMT_NS_PER_S, count->asked + count->repeated,
                count->yes, self->stages[BUYER_in_line], count->sold_out, count->busy, count->paid,
                count->expired, count->cancelled, (unsigned)self->count - self->stages[BUYER_done]);
    }
    fflush(self->options->progress);
}

static void live(struct crowd *self) {
    int64_t started = clock_mono();
    int64_t next_line = started + TIMEFMT_NS_PER_S;
    while (self->stages[BUYER_done] < self->count) {
        int64_t now = clock_mono();
        int64_t begin = self->doors_open ? self->doors_at : started;
        if (now - begin > self->options->end_after_ns) break;
        if (now >= next_line) {
            print_progress(self, now, started);
            next_line += TIMEFMT_NS_PER_S;
        }
        while (self->heap_count > 0 && self->heap[1]->wake_at <= now) {
            buyer_wake(heap_pop(self));
        }
        open_doors(self);
        int64_t until = next_line;
        if (!self->doors_open) until = now + 5 * TIMEFMT_NS_PER_MS;
        if (self->heap_count > 0 && self->heap[1]->wake_at < until) until = self->heap[1]->wake_at;
        http_loop_turn(self->loop, until);
    }
    self->result->finished = self->stages[BUYER_done] == self->count;
    self->result->count.unsettled = self->count - self->stages[BUYER_done];
    if (self->doors_open) self->result->seconds = (double)(clock_mono() - self->doors_at) / 1e9;
    print_progress(self, clock_mono(), started);
    /* What is under way is heard to its end, but nothing new begins. */
    for (size_t i = 0; i < self->count; i++) {
        if (self->buyers[i].stage != BUYER_done) buyer_move(&self->buyers[i], BUYER_done);
    }
    while (http_client_pending(self->shop) > 0) {
        http_loop_turn(self->loop, clock_mono() + TIMEFMT_NS_PER_S);
    }
}

static bool open_all(struct crowd *self) {
    const struct crowd_options *options = self->options;
    struct http_url url;
    if (!http_url_read(options->base, &url)) {
        fprintf(stderr, "doorsim: %s is not an http:// address\n", options->base);
        return false;
    }
    self->count = options->shoppers->count;
    self->loop = http_loop_open();
    self->buyers = calloc(self->count, sizeof *self->buyers);
    self->heap = calloc(self->count + 1, sizeof *self->heap);
    if (self->loop != NULL && self->buyers != NULL && self->heap != NULL) {
        self->shop = http_client_open(self->loop, &(struct http_client_options){
                                                      .host = url.host,
                                                      .port = url.port,
                                                      .connections = options->connections,
                                                      .timeout_ns = options->timeout_ns,
                                                  });
    }
    if (self->shop == NULL) fprintf(stderr, "doorsim: could not open a client\n");
    return self->shop != NULL;
}

static void close_all(struct crowd *self) {
    http_client_close(&self->shop);
    http_client_close(&self->provider);
    http_loop_close(&self->loop);
    for (size_t i = 0; self->buyers != NULL && i < self->count; i++) {
        free(self->buyers[i].ticket);
        free(self->buyers[i].receipt);
        free(self->buyers[i].pay_path);
    }
    free(self->buyers);
    free(self->heap);
}

bool crowd_run(const struct crowd_options *options, struct crowd_result *result) {
    struct crowd self = { .options = options, .result = result, .recorder.to = options->history };
    memset(result, 0, sizeof *result);
    histogram_init(&result->ticket);
    histogram_init(&result->buy);
    histogram_init(&result->buy_server);
    histogram_init(&result->yes);
    bool good = open_all(&self);
    if (good) {
        for (size_t i = 0; i < self.count; i++) {
            make_buyer(&self, i);
            buyer_wake(&self.buyers[i]);
        }
        live(&self);
    }
    close_all(&self);
    return good;
}
