/* Session: accounts, log-in, tokens, tickets.  One for all bridges: which session has ended is told
 * to every one of them at once, and to each that asks.
 *
 * Accounts and sessions are kept in PostgreSQL; here are only those under way (a password waits for
 * its account row, then for the hash pool) and what the catalogue tells about lots, so that a
 * ticket needs one row of facts from PostgreSQL. */
#ifndef SESSION_H
#define SESSION_H

#include "actors/actor.h"
#include "actors/lib/follow.h"
#include "schema/id.h"

enum {
    LOGINS_MAX = 1024,       /* Log-ins and registrations under way. */
    SESSION_LOTS_MAX = 1024, /* Lots known. */
    SESSION_SALES_MAX = 256,
    PASSWORD_MAX = 128,
    LOGIN_MAX = 120,
    USER_COMMANDS_MAX = 64,
    USER_WORD_MAX = 120, /* A login or a number, as operators write it. */
    REFRESH_BYTES = 32,
    REFRESH_TEXT = 43, /* base64url of 32 bytes */
};

/* What a request under way waits for. */
enum login_step {
    STEP_hash,    /* registration: the hash of the password */
    STEP_insert,  /* registration: the account row */
    STEP_find,    /* log-in: the account row */
    STEP_compare, /* log-in: the hash pool */
    STEP_open,    /* log-in: the session row */
    STEP_rotate,  /* refresh: the session row */
    STEP_end,     /* log-out: done */
};

/* A registration, log-in, refresh or log-out, between its steps. */
struct login {
    int64_t user_id, session_id;
    int64_t since;
    uint32_t generation;
    enum account_state state; /* Of the account, once its row has come. */
    bool used;
    enum login_step step;
    struct head head; /* Of the request, to answer it. */
    char name[LOGIN_MAX + 1];
    char secret[PASSWORD_MAX + 1]; /* Password, or the new refresh token. */
    uint32_t secret_size;
};

/* An operator's command about an account, until its end has been answered. */
struct user_command {
    struct head head;
    int64_t until; /* Then the answer is taken for lost; 0 = free. */
    uint32_t word_size;
    char word[USER_WORD_MAX];
};

struct session_lot {
    int64_t lot_id, sale_id;
    struct money price;
    uint32_t price_version, per_buyer_limit;
    int64_t version;
    uint32_t shard;
    enum lot_state state;
};

struct session_sale {
    int64_t sale_id;
    int64_t version;
    int64_t opens_at, closes_at;
    uint32_t snapshot; /* Last one, or time after it, in which it was told of. */
    enum sale_state state;
};

struct session {
    const struct seal_keys *keys;
    uint32_t shards;
    struct id_source ids;
    struct id_source order_ids; /* With the shard in it; nobody else makes them. */
    uint8_t seed[32];
    /* Where generations of logins begin: an answer to one who crashed is nobody's here. */
    uint32_t born;
    uint64_t drawn; /* Numbers drawn from the seed so far. */
    int64_t access_life, refresh_life, idle, ticket_life, ticket_lead;
    uint32_t login_failures_max, cancels_max;
    struct follow catalogue;
    uint32_t lot_count, sale_count;
    struct login logins[LOGINS_MAX];
    struct user_command commands[USER_COMMANDS_MAX];
    struct session_lot lots[SESSION_LOTS_MAX];
    struct session_sale sales[SESSION_SALES_MAX];
};

/* Handlers. */
void session_on_account_create(struct session *self, const struct message *in, int64_t now,
                               struct outbox *out);
void session_on_session_create(struct session *self, const struct message *in, int64_t now,
                               struct outbox *out);
void session_on_session_refresh(struct session *self, const struct message *in, int64_t now,
                                struct outbox *out);
void session_on_session_delete(struct session *self, const struct message *in, int64_t now,
                               struct outbox *out);
/* Answers of the store and of the hash pool to what this actor asked for itself. */
void session_on_hash_made(struct session *self, const struct message *in, int64_t now,
                          struct outbox *out);
void session_on_account_view(struct session *self, const struct message *in, struct outbox *out);
void session_on_account_row(struct session *self, const struct message *in, int64_t now,
                            struct outbox *out);
void session_on_hash_checked(struct session *self, const struct message *in, int64_t now,
                             struct outbox *out);
void session_on_session_row(struct session *self, const struct message *in, int64_t now,
                            struct outbox *out);
void session_on_done(struct session *self, const struct message *in, int64_t now,
                     struct outbox *out);
void session_on_failed(struct session *self, const struct message *in, int64_t now,
                       struct outbox *out);

/* Operators' commands about an account. */
void session_on_user_command(struct session *self, const struct message *in, int64_t now,
                             struct outbox *out);
/* All rows of user_end have come; or it was refused. */
void session_on_user_ended(struct session *self, const struct message *in, struct outbox *out);
void session_on_user_failed(struct session *self, const struct message *in);
void session_on_user_view(const struct message *in, struct outbox *out);

void session_on_ticket_create(struct session *self, const struct message *in, int64_t now,
                              struct outbox *out);
void session_on_ticket_facts(struct session *self, const struct message *in, int64_t now,
                             struct outbox *out);
void session_on_sale_view(struct session *self, const struct message *in);
void session_on_lot_view(struct session *self, const struct message *in);
/* A snapshot is whole: sales that are not in it have been put away. */
void session_after_snapshot(struct session *self);

/* The slot that an answer belongs to and that waits for this step, or NULL (it came too late). */
struct login *login_waiting(struct session *self, const struct message *in, enum login_step step);
/* A free slot, or NULL and a refusal. */
struct login *login_start(struct session *self, const struct message *in, int64_t now,
                          struct outbox *out);
uint64_t login_number(const struct session *self, const struct login *login);
/* The request as a cause for outbox_answer(). */
struct message login_cause(const struct login *login);
/* Wipes the secret and frees the slot. */
void login_end(struct login *login);
/* Frees slots that wait for more than 30 s: HTTP has answered them. */
void login_sweep(struct session *self, int64_t now);

/* 32 bytes nobody can guess, from the seed. */
void session_random(struct session *self, uint8_t bytes[REFRESH_BYTES]);

/* "user@host" in lower case, or a phone number as + and digits.  False: it is neither. */
bool login_name(struct text given, char name[LOGIN_MAX + 1]);

#endif
