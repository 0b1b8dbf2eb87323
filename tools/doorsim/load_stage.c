/* Shoppers and tickets for a load. */
#include "broker/keys.h"
#include "schema/timefmt.h"
#include "tools/doorsim/load_words.h"

#include <stdlib.h>
#include <string.h>

static bool read_lots(const struct option_list *list, int64_t *lots) {
    for (unsigned i = 0; i < list->count; i++) {
        if (!options_number(list->items[i], 1, INT64_MAX, &lots[i])) {
            fprintf(stderr, "doorsim load: %s is not a lot\n", list->items[i]);
            return false;
        }
    }
    return true;
}

/* `FIRST:COUNT` */
static bool read_users(const char *text, int64_t *first, int64_t *count) {
    char word[24];
    const char *colon = strchr(text, ':');
    size_t length = colon != NULL ? (size_t)(colon - text) : sizeof word;
    if (length >= sizeof word) return false;
    memcpy(word, text, length);
    word[length] = '\0';
    return options_number(word, 1, INT64_MAX / 2, first) &&
           options_number(colon + 1, 1, 1000000000, count);
}

static bool get_shoppers(struct load_stage *self, const struct load_words *words,
                         const struct seal_keys *keys, size_t tickets) {
    int64_t first, count;
    if (words->users == NULL) return shoppers_load(&self->shoppers, words->shoppers, 0);
    if (keys == NULL || !read_users(words->users, &first, &count)) {
        fprintf(stderr, "doorsim load: --users FIRST:COUNT needs --keys as well\n");
        return false;
    }
    /* No more tokens than there are tickets to use them with. */
    size_t wanted = tickets > 0 && tickets < (size_t)count ? tickets : (size_t)count;
    return shoppers_make(&self->shoppers, keys, first, wanted);
}

/* Tickets that were not given go; the order of the others stays. */
static bool keep_given(struct tickets *tickets) {
    size_t kept = 0;
    for (size_t i = 0; i < tickets->count; i++) {
        if (tickets->list[i].text == NULL) continue;
        struct ticket swap = tickets->list[kept];
        tickets->list[kept++] = tickets->list[i];
        tickets->list[i] = swap;
    }
    if (kept < tickets->count) printf("%zu tickets were not given\n", tickets->count - kept);
    tickets->count = kept;
    return kept > 0;
}

static bool ask_for_tickets(struct load_stage *self, const struct load_words *words) {
    struct load_result *result = malloc(sizeof *result);
    const struct load_plan plan = {
        .kind = LOAD_ticket,
        .base = words->base,
        .tickets = &self->tickets,
        .last_ticket = self->tickets.count,
        .quantity = (uint32_t)words->quantity,
        .connections = words->connections < 256 ? (unsigned)words->connections : 256,
        .timeout_ns = words->timeout_ms * TIMEFMT_NS_PER_MS,
        .history = self->history,
    };
    bool good = result != NULL && load_run(&plan, result);
    if (good) {
        printf("tickets: ");
        load_print(stdout, result);
    }
    free(result);
    return good && keep_given(&self->tickets);
}

bool load_stage_set(struct load_stage *self, const struct load_words *words, size_t count) {
    struct seal_keys keys;
    char error[200];
    if (words->history != NULL && (self->history = fopen(words->history, "we")) == NULL) {
        perror(words->history);
        return false;
    }
    if (words->path != NULL) return true;
    if (words->keys != NULL && !keys_load(words->keys, &keys, error, sizeof error)) {
        fprintf(stderr, "doorsim load: %s\n", error);
        return false;
    }
    size_t wanted = words->tickets > 0 ? (size_t)words->tickets : count;
    if (!read_lots(&words->lots, self->lots) ||
        !get_shoppers(self, words, words->keys != NULL ? &keys : NULL, wanted)) {
        return false;
    }
    if (wanted == 0) wanted = self->shoppers.count;
    if (!tickets_plan(&self->tickets, &self->shoppers, self->lots, words->lots.count, wanted)) {
        return false;
    }
    if (words->ask_tickets) return true; /* They are what is asked for. */
    return words->keys != NULL ? tickets_sign(&self->tickets, &keys, (uint32_t)words->quantity,
                                              (uint32_t)words->shard)
                               : ask_for_tickets(self, words);
}

bool load_stage_close_history(struct load_stage *self) {
    bool good = self->history == NULL || fclose(self->history) == 0;
    self->history = NULL;
    if (!good) perror("doorsim load: history");
    return good;
}

void load_stage_fini(struct load_stage *self) {
    (void)load_stage_close_history(self);
    tickets_fini(&self->tickets);
    shoppers_fini(&self->shoppers);
}
