#include "broker/ready.h"

#include <assert.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

static struct {
    pthread_mutex_t lock;
    uint32_t count;
    struct {
        const char *name;
        bool ready;
    } part[READY_PARTS_MAX];
} parts = { .lock = PTHREAD_MUTEX_INITIALIZER };

void ready_set(const char *part, bool ready) {
    pthread_mutex_lock(&parts.lock);
    uint32_t i = 0;
    while (i < parts.count && strcmp(parts.part[i].name, part) != 0)
        i++;
    assert(i < READY_PARTS_MAX);
    if (i == parts.count) parts.part[parts.count++].name = part;
    parts.part[i].ready = ready;
    pthread_mutex_unlock(&parts.lock);
}

const char *ready_missing(void) {
    const char *missing = NULL;
    pthread_mutex_lock(&parts.lock);
    if (parts.count == 0) missing = "start";
    for (uint32_t i = 0; i < parts.count && missing == NULL; i++) {
        if (!parts.part[i].ready) missing = parts.part[i].name;
    }
    pthread_mutex_unlock(&parts.lock);
    return missing;
}

bool ready_all(void) {
    return ready_missing() == NULL;
}

void ready_reset(void) {
    pthread_mutex_lock(&parts.lock);
    parts.count = 0;
    pthread_mutex_unlock(&parts.lock);
}
