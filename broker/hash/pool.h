/* Password hashes (argon2id) in a few threads of their own, at lower priority than the sale: a hash
 * costs as much as thousands of purchases, so how many wait is bounded and the rest is told at
 * once.
 *
 * Invariants: at most threads + queue_max jobs are anywhere between start and result; every started
 * job gives one result; a password is overwritten as soon as its hash is done.
 * One thread uses the pool (start, next); the pool's own threads never call back. */
#ifndef BROKER_HASH_POOL_H
#define BROKER_HASH_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HASH_PASSWORD_MAX = 1024, /* Bytes of a password. */
    HASH_PHC_SIZE = 128,      /* Room for a PHC string and its 0. */
};

struct hash_pool;

struct hash_pool_config {
    uint32_t threads;   /* 1 .. 64 */
    uint32_t queue_max; /* Jobs that wait for a thread, 1 .. 4096. */
    uint64_t memory;    /* Bytes one new hash uses, 8 KiB .. 1 GiB. */
    uint32_t passes;    /* Of one new hash, 1 .. 16. */
    int nice;           /* Added to the threads' niceness, 0 .. 19. */
};

/* Starts the threads and makes the decoy (one hash).  NULL: a member out of bounds, or out of
 * memory, threads or descriptors. */
struct hash_pool *hash_pool_open(const struct hash_pool_config *config);
/* Waits for the hashes that are being made, forgets those that wait.  Sets *self to NULL. */
void hash_pool_close(struct hash_pool **self);

enum hash_start {
    HASH_started, /* A result will come. */
    HASH_full,    /* Too many wait, or the password is too long: nothing was kept. */
};

/* Makes a hash of a password.  The password is copied. */
enum hash_start hash_pool_make(struct hash_pool *self, uint64_t tag, const char *password,
                               size_t size) __attribute__((warn_unused_result));
/* Compares a password with a PHC string; both are copied. */
enum hash_start hash_pool_verify(struct hash_pool *self, uint64_t tag, const char *password,
                                 size_t size, const char *phc, size_t phc_size)
    __attribute__((warn_unused_result));

/* A PHC string that no password fits, of the same cost as a new hash: compare with it when there is
 * no such account, so that the answer takes as long.  Lives as long as the pool. */
const char *hash_pool_decoy(const struct hash_pool *self);

/* Readable while there are results (and once more, harmlessly, afterwards).  Poll it for reading.
 */
int hash_pool_fd(const struct hash_pool *self);

enum hash_outcome {
    HASH_made,         /* phc holds the new PHC string. */
    HASH_ok,           /* The password fits. */
    HASH_needs_rehash, /* It fits, but the hash is of other parameters than ours: make a new one. */
    HASH_wrong,        /* It does not fit. */
    HASH_failed, /* No memory, or the PHC string cannot be read: says nothing of the password. */
};

struct hash_result {
    uint64_t tag;
    enum hash_outcome outcome;
    char phc[HASH_PHC_SIZE]; /* HASH_made; else empty. */
};

/* Takes the next result; false: there is none now, and the descriptor is quiet again. */
bool hash_pool_next(struct hash_pool *self, struct hash_result *out);

/* Jobs started whose result has not been taken. */
uint32_t hash_pool_busy(struct hash_pool *self);

#endif
