#include "broker/news.h"

#include <pthread.h>
#include <stdatomic.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct news latest;
static _Atomic uint64_t number;

void news_publish(const struct news *news) {
    pthread_mutex_lock(&lock);
    latest = *news;
    atomic_fetch_add_explicit(&number, 1, memory_order_relaxed);
    pthread_mutex_unlock(&lock);
}

bool news_take(uint64_t *seen, void (*take)(void *context, const struct news *news),
               void *context) {
    if (atomic_load_explicit(&number, memory_order_relaxed) == *seen) return false;
    pthread_mutex_lock(&lock);
    *seen = atomic_load_explicit(&number, memory_order_relaxed);
    take(context, &latest);
    pthread_mutex_unlock(&lock);
    return true;
}
