/* Which faults a run has, and how often: drawn from its seed. */
#ifndef TESTS_SIM_SWARM_H
#define TESTS_SIM_SWARM_H

#include <stdbool.h>
#include <stdint.h>

/* FAULT_regret is the first of those with a stream of their own. */
enum fault {
#define FAULT(name, share, doc) FAULT_##name,
#include "tests/sim/faults.def"
#undef FAULT
    FAULT_COUNT
};
_Static_assert(FAULT_COUNT <= 64, "a run's faults are bits");
#define FAULTS_ALL ((UINT64_C(1) << FAULT_COUNT) - 1)

struct swarm {
    uint64_t on;                   /* Bits by fault. */
    uint32_t loss, twice, reorder; /* Of 1000 messages on a faulty link. */
    uint32_t links;                /* Faulty ones, of 1000. */
    uint32_t victim, victim_loss;  /* One type of message is lost so often. */
    int64_t delay_least, delay_most;
    int64_t reorder_most;                     /* How much later. */
    int64_t every[FAULT_COUNT];               /* Mean time between two; of those that strike. */
    int64_t last[FAULT_COUNT];                /* How long they last at most. */
    uint32_t journal_cap;                     /* Rows. */
    uint32_t mailbox;                         /* Messages. */
    uint32_t crash_set;                       /* Bits by address. */
    uint32_t redis_cut_most;                  /* Records lost. */
    uint32_t redis_wipe;                      /* Of 1000 crashes. */
    uint32_t split;                           /* Of 1000 failovers. */
    uint32_t pg_refused, pg_unknown, pg_late; /* Of 1000 transactions. */
    uint32_t pg_heard; /* So many of 1000 commits, the standby hears of all before them. */
    uint32_t silent, doubled, wrong, pay_away, mail_away; /* Of 1000 calls. */
    uint32_t cheats;                                      /* Of 1000 shoppers. */
    uint32_t regrets;                                     /* Of 1000 paid orders. */
    uint32_t worst;     /* Of 1000 batches in which Redis takes units. */
    uint32_t misrouted; /* Of 1000 requests go to the second writer. */
    int64_t ends;       /* Then the faults stop. */
};

struct draw;

/* `later`: for the faults that came later.  `allowed`: faults there may be; the draws are the same
 * whatever it says. */
void swarm_draw(struct swarm *self, struct draw *draw, struct draw *later, uint64_t allowed);
/* How late a message may be in this run, at most. */
int64_t swarm_latest(const struct swarm *self);
static inline bool swarm_has(const struct swarm *self, enum fault fault) {
    return (self->on >> fault & 1) != 0;
}
const char *fault_name(enum fault fault);
const char *fault_doc(enum fault fault);
/* FAULT_COUNT: no such fault. */
enum fault fault_named(const char *name, unsigned long size);

#endif
