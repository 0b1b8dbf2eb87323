/* Requests under way in the session actor, and what a login looks like. */
#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "actors/session/session.h"

static const int64_t wait_max = INT64_C(30000000000);

struct login *login_start(struct session *self, const struct message *in, int64_t now,
                          struct outbox *out) {
    for (struct login *login = self->logins; login < self->logins + LOGINS_MAX; login++) {
        if (login->used) continue;
        uint32_t generation = login->generation + 1;
        *login = (struct login){
            .used = true, .generation = generation, .since = now, .head = in->head
        };
        return login;
    }
    outbox_refuse_with(out, in, PROBLEM_hashing_busy)->retry_after = 2;
    return NULL;
}

uint64_t login_number(const struct session *self, const struct login *login) {
    uint32_t generation = login->generation + self->born;
    return (uint64_t)generation << 32 | (uint64_t)(login - self->logins);
}

struct login *login_waiting(struct session *self, const struct message *in, enum login_step step) {
    uint64_t index = in->head.request & UINT32_MAX;
    if (in->head.origin != ACTOR_session || index >= LOGINS_MAX) return NULL;
    struct login *login = &self->logins[index];
    bool same = login->used && login_number(self, login) == in->head.request;
    return same && login->step == step ? login : NULL;
}

struct message login_cause(const struct login *login) {
    return (struct message){ login->head, NULL };
}

void login_end(struct login *login) {
    sodium_memzero(login->secret, sizeof login->secret);
    login->used = false;
}

void login_sweep(struct session *self, int64_t now) {
    for (struct login *login = self->logins; login < self->logins + LOGINS_MAX; login++) {
        if (login->used && now - login->since > wait_max) login_end(login);
    }
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool mail_name(struct text given, char *name) {
    uint32_t at_signs = 0, host_from = 0;
    for (uint32_t i = 0; i < given.size; i++) {
        char c = given.at[i];
        if (c <= ' ' || c == ',' || c == ';' || c == '<' || c == '>' || c == '"') return false;
        if (c == '@') at_signs++, host_from = i + 1;
        name[i] = lower(c);
    }
    name[given.size] = 0;
    bool dot_ends = name[given.size - 1] == '.' || name[host_from] == '.';
    return at_signs == 1 && host_from > 1 && host_from < given.size && !dot_ends;
}

static bool phone_name(struct text given, char *name) {
    uint32_t digits = 0;
    char *to = name;
    *to++ = '+';
    for (uint32_t i = 0; i < given.size; i++) {
        char c = given.at[i];
        if (c >= '0' && c <= '9') {
            *to++ = c;
            digits++;
        } else if (!(c == '+' && i == 0) && c != ' ' && c != '-') {
            return false;
        }
    }
    *to = 0;
    return digits >= 5 && digits <= 15; /* ITU-T E.164 */
}

bool login_name(struct text given, char name[LOGIN_MAX + 1]) {
    if (given.size == 0 || given.size > LOGIN_MAX) return false;
    if (memchr(given.at, '@', given.size) != NULL) return mail_name(given, name);
    return phone_name(given, name);
}
