/* Inside of `doorsim chaos`: one run, and the faults of chaos.def. */
#ifndef DOORSIM_CHAOS_H
#define DOORSIM_CHAOS_H

#include "tools/doorsim/proxy.h"
#include "tools/doorsim/stage.h"

#define CHAOS_MS INT64_C(1000000)
#define CHAOS_S  (1000 * CHAOS_MS)

enum chaos_fault {
#define FAULT(name, needs, doc) FAULT_##name,
#include "tools/doorsim/chaos.def"
#undef FAULT
    CHAOS_FAULTS,
};

enum { CHAOS_ENVS = 6 };

struct chaos {
    struct stage stage;
    struct proxy *pg, *redis, *link; /* link: between Redis and its replica. */
    uint64_t random;
    int64_t began;
    bool disk, clock;      /* The stage is prepared for these. */
    bool replica_leads;    /* tools/stack knows nothing of the Redis in use. */
    pid_t replica, second; /* The other Redis, the other server. */
    bool enabled[CHAOS_FAULTS];
    unsigned done[CHAOS_FAULTS];
    char redis_listen[STAGE_PATH], pg_folder[STAGE_PATH], clock_file[STAGE_PATH];
    char envs[CHAOS_ENVS][STAGE_PATH + 60];
    const char *env_list[CHAOS_ENVS + 1];
    int64_t sale, lot;
    int64_t units;
    unsigned shoppers;
};

/* From the seed alone, below `bound`. */
uint64_t chaos_draw(struct chaos *self, uint64_t bound);
/* A time between the two, in milliseconds, from the seed. */
int64_t chaos_span(struct chaos *self, int64_t least_ms, int64_t most_ms);
/* One line about what is done. */
void chaos_say(struct chaos *self, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Stops if the system has not come back by then: a fault that is not mended is a finding. */
bool chaos_redis_cli(struct chaos *self, const char *const *words);
#define REDIS(self, ...) chaos_redis_cli(self, (const char *const[]){ __VA_ARGS__, NULL })
/* SQL as the superuser. */
bool chaos_admin(struct chaos *self, const char *sql, char *out, size_t size);

/* Mends what could be left of any fault. */
bool chaos_heal(struct chaos *self);
/* Before the first purchase: switches in the database that the faults turn. */
bool chaos_prepare_sql(struct chaos *self);
bool chaos_switch(struct chaos *self, const char *what, double rate);
/* G10: until the provider's ledger and our payments and refunds agree, within the limit. */
bool chaos_money(struct chaos *self, int64_t limit_ns);
/* The clocks of what runs under libfaketime: seconds ahead of the true time. */
bool chaos_clock_set(struct chaos *self, int64_t seconds);

#define FAULT(name, needs, doc) void chaos_##name(struct chaos *self);
#include "tools/doorsim/chaos.def"
#undef FAULT

#endif
