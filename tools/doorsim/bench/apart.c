#include "tools/doorsim/bench/apart.h"

#include "tools/doorsim/bench/parts.h"

static void put(void *set, long thread) {
    (void)sched_setaffinity((pid_t)thread, sizeof(cpu_set_t), set);
}

static void put_all(const struct apart *self, cpu_set_t *set) {
    parts_each_thread(self->server, put, set);
    parts_each_thread(self->redis, put, set);
    parts_each_thread_of_family(self->pg, put, set);
}

bool apart_begin(struct apart *self, long server, long redis, long pg) {
    cpu_set_t first, second;
    int found[2], count = 0;
    *self = (struct apart){ .server = server, .redis = redis, .pg = pg };
    if (server == 0 || redis == 0 || pg == 0) return false;
    if (sched_getaffinity(0, sizeof self->all, &self->all) != 0) return false;
    for (int i = 0; i < CPU_SETSIZE && count < 2; i++) {
        if (CPU_ISSET((size_t)i, &self->all)) found[count++] = i;
    }
    if (count < 2) return false;
    CPU_ZERO(&first);
    CPU_ZERO(&second);
    CPU_SET((size_t)found[0], &first);
    CPU_SET((size_t)found[1], &second);
    put_all(self, &first);
    return sched_setaffinity(0, sizeof second, &second) == 0;
}

void apart_end(const struct apart *self) {
    cpu_set_t all = self->all;
    put_all(self, &all);
    (void)sched_setaffinity(0, sizeof all, &all);
}
