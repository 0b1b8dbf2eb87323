#include "tools/doorsim/shoppers.h"

#include "broker/clock.h"
#include "schema/timefmt.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 1 << 30 };

/* The whole file, NUL-terminated, or NULL with a sentence on stderr. */
static char *read_file(const char *path, size_t max, size_t *size) {
    FILE *from = fopen(path, "re");
    long length = -1;
    char *memory = NULL;
    if (from != NULL && fseek(from, 0, SEEK_END) == 0) length = ftell(from);
    if (length >= 0 && (size_t)length <= max && fseek(from, 0, SEEK_SET) == 0) {
        memory = malloc((size_t)length + 1);
    }
    if (memory != NULL && fread(memory, 1, (size_t)length, from) != (size_t)length) {
        free(memory);
        memory = NULL;
    }
    if (memory == NULL) {
        fprintf(stderr, "doorsim: could not read %s: %s\n", path, strerror(errno));
    } else {
        memory[length] = '\0';
        *size = (size_t)length;
    }
    if (from != NULL) fclose(from);
    return memory;
}

/* `user session token`; the token is terminated in place. */
static bool read_shopper(char *line, struct shopper *shopper) {
    char *end;
    errno = 0;
    shopper->user = strtoll(line, &end, 10);
    if (errno != 0 || *end != ' ' || shopper->user <= 0) return false;
    shopper->session = strtoll(end + 1, &end, 10);
    if (errno != 0 || *end != ' ' || shopper->session <= 0) return false;
    shopper->token = end + 1;
    return *shopper->token != '\0' && strchr(shopper->token, ' ') == NULL;
}

bool shoppers_make(struct shoppers *self, const struct seal_keys *keys, int64_t first,
                   size_t count) {
    int64_t expires_at = clock_now() + 3600 * TIMEFMT_NS_PER_S;
    char token[SEAL_TEXT_MAX + 1];
    *self = (struct shoppers){ 0 };
    /* Later users have longer numbers: the last one's token is the longest. */
    int64_t last = first + (int64_t)count;
    make_access_token(keys, last, last, expires_at, token);
    size_t stride = strlen(token) + 1;
    self->list = calloc(count + 1, sizeof *self->list);
    self->memory = malloc((count + 1) * stride);
    if (self->list == NULL || self->memory == NULL) {
        shoppers_fini(self);
        return false;
    }
    for (; self->count < count; self->count++) {
        char *at = self->memory + self->count * stride;
        int64_t user = first + (int64_t)self->count;
        make_access_token(keys, user, user, expires_at, token);
        size_t size = strlen(token) + 1;
        assert(size <= stride);
        memcpy(at, token, size);
        self->list[self->count] = (struct shopper){ user, user, at };
    }
    return true;
}

bool shoppers_load(struct shoppers *self, const char *path, size_t max) {
    size_t size, lines = 0;
    *self = (struct shoppers){ 0 };
    self->memory = read_file(path, FILE_MAX, &size);
    if (self->memory == NULL) return false;
    for (size_t i = 0; i < size; i++) {
        lines += self->memory[i] == '\n';
    }
    if (max > 0 && lines > max) lines = max;
    self->list = calloc(lines + 1, sizeof *self->list);
    if (self->list == NULL) return false;
    char *line = self->memory;
    while (self->count < lines) {
        char *newline = strchr(line, '\n');
        *newline = '\0';
        if (!read_shopper(line, &self->list[self->count])) {
            fprintf(stderr, "doorsim: %s line %zu is not a shopper\n", path, self->count + 1);
            shoppers_fini(self);
            return false;
        }
        self->count++;
        line = newline + 1;
    }
    return true;
}

void shoppers_fini(struct shoppers *self) {
    free(self->list);
    free(self->memory);
    *self = (struct shoppers){ 0 };
}

void make_access_token(const struct seal_keys *keys, int64_t user, int64_t session,
                       int64_t expires_at, char *token) {
    struct access_claims claims;
    memset(&claims, 0, sizeof claims);
    claims.session_id = session;
    claims.user_id = user;
    claims.expires_at = expires_at;
    (void)seal_write(keys, MSG_access_claims, &claims, token);
}

void make_ticket(const struct seal_keys *keys, const struct ticket_wish *wish, char *ticket) {
    struct ticket_claims claims;
    memset(&claims, 0, sizeof claims);
    claims.order_id = wish->order;
    claims.user_id = wish->user;
    claims.session_id = wish->session;
    claims.lot_id = wish->lot;
    claims.quantity_max = wish->quantity_max;
    claims.price_version = wish->price_version;
    claims.not_before = wish->not_before;
    claims.expires_at = wish->expires_at;
    (void)seal_write(keys, MSG_ticket_claims, &claims, ticket);
}
