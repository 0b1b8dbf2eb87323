#include "broker/ready.h"

#include <assert.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static struct {
    pthread_mutex_t lock;
    uint32_t count;
    struct {
        char name[READY_NAME_SIZE];
        bool ready, wanted;
    } part[READY_PARTS_MAX];
} parts = { .lock = PTHREAD_MUTEX_INITIALIZER };

static uint32_t find(const char *part) {
    uint32_t i = 0;
    while (i < parts.count && strncmp(parts.part[i].name, part, READY_NAME_SIZE - 1) != 0)
        i++;
    return i;
}

void ready_set(const char *part, bool ready) {
    pthread_mutex_lock(&parts.lock);
    uint32_t i = find(part);
    assert(i < READY_PARTS_MAX);
    if (i == parts.count) {
        snprintf(parts.part[i].name, READY_NAME_SIZE, "%s", part);
        parts.count++;
    }
    parts.part[i].ready = ready;
    parts.part[i].wanted = true;
    pthread_mutex_unlock(&parts.lock);
}

void ready_forget(const char *part) {
    pthread_mutex_lock(&parts.lock);
    uint32_t i = find(part);
    if (i < parts.count) parts.part[i].wanted = false; /* Its name stays where it is. */
    pthread_mutex_unlock(&parts.lock);
}

const char *ready_missing(void) {
    const char *missing = NULL;
    pthread_mutex_lock(&parts.lock);
    if (parts.count == 0) missing = "start";
    for (uint32_t i = 0; i < parts.count && missing == NULL; i++) {
        if (parts.part[i].wanted && !parts.part[i].ready) missing = parts.part[i].name;
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
