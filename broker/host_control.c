#include "broker/control.h"
#include "broker/host_internal.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct host *present;

void control_attach(struct host *host) {
    pthread_mutex_lock(&lock);
    present = host;
    pthread_mutex_unlock(&lock);
}

void control_detach(const struct host *host) {
    pthread_mutex_lock(&lock);
    if (present == host) present = NULL;
    pthread_mutex_unlock(&lock);
}

const char *control_state_name(enum control_state state) {
    switch (state) {
    case CONTROL_up: return "up";
    case CONTROL_asleep: return "asleep";
    case CONTROL_restarting: return "restarting";
    }
    return "?";
}

static struct control_actor row_of(const struct seat *seat) {
    static const enum control_state states[] = {
        [SEAT_up] = CONTROL_up, [SEAT_asleep] = CONTROL_asleep, [SEAT_down] = CONTROL_restarting
    };
    return (struct control_actor){ .address = seat->address,
                                   .shard = seat->shard,
                                   .thread = seat->thread,
                                   .state = states[seat_phase(seat)],
                                   .depth = (uint64_t)metric_gauge_value(seat->depth),
                                   .restarts = atomic_load(&seat->restarts),
                                   .handled = metric_counter_value(seat->handled) };
}

uint32_t control_actors(struct control_actor *rows, uint32_t max) {
    uint32_t count = 0;
    pthread_mutex_lock(&lock);
    for (uint32_t i = 0; present != NULL && i < ADDRESS_COUNT * SHARDS_MAX; i++) {
        const struct seat *seat = present->at[i / SHARDS_MAX][i % SHARDS_MAX];
        if (seat == NULL || seat->actor == NULL) continue;
        if (count < max) rows[count] = row_of(seat);
        count++;
    }
    pthread_mutex_unlock(&lock);
    return count;
}

bool control_restart(enum address address, uint8_t shard) {
    bool there = false;
    pthread_mutex_lock(&lock);
    if (present != NULL && (unsigned)address < ADDRESS_COUNT && shard < SHARDS_MAX) {
        struct seat *seat = present->at[address][address_is_sharded(address) ? shard : 0];
        there = seat != NULL && seat->actor != NULL && seat_phase(seat) != SEAT_asleep;
        if (there) atomic_store(&seat->restart_wanted, true);
    }
    pthread_mutex_unlock(&lock);
    return there;
}
