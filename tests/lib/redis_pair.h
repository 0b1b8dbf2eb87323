/* A real and a modelled hot counter that are asked the same and must answer the same.
 * For cmocka tests: differences fail the test that runs. */
#ifndef TESTS_LIB_REDIS_PAIR_H
#define TESTS_LIB_REDIS_PAIR_H

#include "tests/lib/redis_sides.h"

/* What every test begins with: LOTS open lots from LOT on, five units each, two per buyer. */
enum { CAP = 12, EPOCH = 5, BOOT = 77, LOT = 11, USERS = 6, LOTS = 3 };

extern struct server server;
extern struct side sides[2]; /* The port, the model. */

/* Set-up and tear-down of a group, set-up of a test. */
int open_sides(void **state);
int close_sides(void **state);
int fresh(void **state);

/* Messages gathered for the next tell(). */
extern struct message messages[SCRIPT_ROWS_MAX];
extern uint32_t message_count;

/* One more message; its zeroed body. */
void *ask(enum message_id id);
#define ASK_FOR(name) ((struct name *)ask(MSG_##name))
struct reserve *reserve(int64_t order, int64_t user, int64_t lot, uint32_t quantity);
struct undo *undo(int64_t rid, int64_t order, int64_t user, int64_t lot);
int64_t rid(uint64_t seq); /* Under EPOCH. */
void install_lots(uint32_t epoch, int64_t available, uint32_t limit);
void install_done(uint32_t epoch);

/* Sends what was asked to both and compares what they say; returns it. */
const char *tell(void);
/* Did they say this? */
bool said(const char *word);

/* One command to both, the same answer from both; value() returns it. */
void both(const char *words);
const char *value(const char *words);
void same_keys(void);

#endif
