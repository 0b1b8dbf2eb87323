/* A bounded pool of threads that hash passwords. */
#include "broker/hash/pool.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "broker/crash.h"

#define MEMORY_MAX (UINT64_C(1) << 30)

enum { THREADS_MAX = 64, QUEUE_MAX = 4096, PASSES_MAX = 16, NICE_MAX = 19 };

_Static_assert(HASH_PHC_SIZE >= crypto_pwhash_STRBYTES, "a PHC string must fit");

struct job {
    struct job *next;
    uint64_t tag;
    bool make; /* Else verify. */
    enum hash_outcome outcome;
    size_t password_size;
    char password[HASH_PASSWORD_MAX];
    char phc[HASH_PHC_SIZE];
};

struct list {
    struct job *head;
    struct job **tail;
};

struct hash_pool {
    struct hash_pool_config config;
    int event;
    pthread_t threads[THREADS_MAX];
    uint32_t thread_count; /* Started ones. */
    char decoy[HASH_PHC_SIZE];

    pthread_mutex_t lock; /* Guards everything below. */
    pthread_cond_t work;
    bool stopping;
    uint32_t busy;
    struct job *jobs;
    struct job *free;
    struct list waiting;
    struct list done;
};

static void list_add(struct list *list, struct job *job) {
    job->next = NULL;
    *list->tail = job;
    list->tail = &job->next;
}

static struct job *list_take(struct list *list) {
    struct job *job = list->head;

    if (job == NULL) return NULL;
    list->head = job->next;
    if (list->head == NULL) list->tail = &list->head;
    return job;
}

/* ---- One job --------------------------------------------------------------------------------- */

/* The memory a PHC string asks for is taken before the password is compared, so a string that asks
 * for more than we would ever write is not even tried. */
static bool phc_bearable(const char *phc) {
    static const char prefix[] = "$argon2id$v=19$m=";
    uint64_t kilobytes = 0;

    if (strncmp(phc, prefix, sizeof prefix - 1) != 0) return false;
    for (const char *at = phc + sizeof prefix - 1; *at >= '0' && *at <= '9'; at++) {
        kilobytes = kilobytes * 10 + (uint64_t)(*at - '0');
        if (kilobytes > MEMORY_MAX / 1024) return false;
    }
    return true;
}

static enum hash_outcome make(const struct hash_pool_config *config, struct job *job) {
    if (crypto_pwhash_str_alg(job->phc, job->password, job->password_size, config->passes,
                              (size_t)config->memory, crypto_pwhash_ALG_ARGON2ID13) != 0) {
        return HASH_failed;
    }
    return HASH_made;
}

static enum hash_outcome verify(const struct hash_pool_config *config, struct job *job) {
    if (!phc_bearable(job->phc)) return HASH_failed;
    int stale = crypto_pwhash_str_needs_rehash(job->phc, config->passes, (size_t)config->memory);
    if (stale < 0) return HASH_failed; /* Not one of ours. */
    if (crypto_pwhash_str_verify(job->phc, job->password, job->password_size) != 0) {
        return HASH_wrong;
    }
    return stale == 0 ? HASH_ok : HASH_needs_rehash;
}

/* ---- Threads --------------------------------------------------------------------------------- */

static void tell(const struct hash_pool *self) {
    const uint64_t one = 1;

    /* Cannot fail short of 2^64 results nobody has taken. */
    CRASH_POINT(hash_telling);
    ssize_t written = write(self->event, &one, sizeof one);
    CRASH_POINT(hash_waking);
    (void)written;
}

static void *run(void *context) {
    struct hash_pool *self = context;

    /* On Linux this is about the calling thread alone.  A refusal only costs the priority. */
    (void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + self->config.nice);
    pthread_mutex_lock(&self->lock);
    for (;;) {
        while (!self->stopping && self->waiting.head == NULL) {
            pthread_cond_wait(&self->work, &self->lock);
        }
        if (self->stopping) break;
        struct job *job = list_take(&self->waiting);
        pthread_mutex_unlock(&self->lock);

        job->outcome = job->make ? make(&self->config, job) : verify(&self->config, job);
        sodium_memzero(job->password, sizeof job->password);

        pthread_mutex_lock(&self->lock);
        list_add(&self->done, job);
        tell(self);
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

/* The host's signals are none of these threads' business. */
static bool start_threads(struct hash_pool *self) {
    sigset_t all;
    sigset_t before;

    (void)sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (self->thread_count < self->config.threads) {
        if (pthread_create(&self->threads[self->thread_count], NULL, run, self) != 0) break;
        self->thread_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return self->thread_count == self->config.threads;
}

static bool make_decoy(struct hash_pool *self) {
    struct job job = { .make = true, .password_size = 32 };

    randombytes_buf(job.password, job.password_size);
    bool good = make(&self->config, &job) == HASH_made;
    memcpy(self->decoy, job.phc, sizeof self->decoy);
    sodium_memzero(&job, sizeof job);
    return good;
}

struct hash_pool *hash_pool_open(const struct hash_pool_config *config) {
    if (config->threads < 1 || config->threads > THREADS_MAX || config->queue_max < 1 ||
        config->queue_max > QUEUE_MAX || config->passes < 1 || config->passes > PASSES_MAX ||
        config->memory < crypto_pwhash_argon2id_MEMLIMIT_MIN || config->memory > MEMORY_MAX ||
        config->nice < 0 || config->nice > NICE_MAX || sodium_init() < 0) {
        return NULL;
    }
    struct hash_pool *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    uint32_t job_count = config->threads + config->queue_max;
    self->config = *config;
    self->waiting.tail = &self->waiting.head;
    self->done.tail = &self->done.head;
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->work, NULL);
    self->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->jobs = calloc(job_count, sizeof *self->jobs);
    for (uint32_t i = 0; self->jobs != NULL && i < job_count; i++) {
        self->jobs[i].next = self->free;
        self->free = &self->jobs[i];
    }
    if (self->event < 0 || self->jobs == NULL || !make_decoy(self) || !start_threads(self)) {
        hash_pool_close(&self);
    }
    return self;
}

void hash_pool_close(struct hash_pool **self) {
    struct hash_pool *gone = *self;

    if (gone == NULL) return;
    *self = NULL;
    pthread_mutex_lock(&gone->lock);
    gone->stopping = true;
    pthread_cond_broadcast(&gone->work);
    pthread_mutex_unlock(&gone->lock);
    for (uint32_t i = 0; i < gone->thread_count; i++)
        pthread_join(gone->threads[i], NULL);
    if (gone->jobs != NULL) {
        sodium_memzero(gone->jobs,
                       (gone->config.threads + gone->config.queue_max) * sizeof *gone->jobs);
    }
    free(gone->jobs);
    if (gone->event >= 0) close(gone->event);
    pthread_cond_destroy(&gone->work);
    pthread_mutex_destroy(&gone->lock);
    free(gone);
}

/* ---- The caller's side ----------------------------------------------------------------------- */

static enum hash_start start(struct hash_pool *self, uint64_t tag, const char *password,
                             size_t size, const char *phc, size_t phc_size) {
    if (size > HASH_PASSWORD_MAX) return HASH_full;

    pthread_mutex_lock(&self->lock);
    struct job *job = self->free;
    if (job == NULL) {
        pthread_mutex_unlock(&self->lock);
        return HASH_full;
    }
    self->free = job->next;
    self->busy++;
    job->tag = tag;
    job->make = phc == NULL;
    job->password_size = size;
    memcpy(job->password, password, size);
    memset(job->phc, 0, sizeof job->phc);
    /* One that is too long stays empty, which no hash fits and none is made of: HASH_failed. */
    if (phc != NULL && phc_size < sizeof job->phc) memcpy(job->phc, phc, phc_size);
    list_add(&self->waiting, job);
    pthread_cond_signal(&self->work);
    pthread_mutex_unlock(&self->lock);
    return HASH_started;
}

enum hash_start hash_pool_make(struct hash_pool *self, uint64_t tag, const char *password,
                               size_t size) {
    return start(self, tag, password, size, NULL, 0);
}

enum hash_start hash_pool_verify(struct hash_pool *self, uint64_t tag, const char *password,
                                 size_t size, const char *phc, size_t phc_size) {
    assert(phc != NULL);
    return start(self, tag, password, size, phc, phc_size);
}

const char *hash_pool_decoy(const struct hash_pool *self) {
    return self->decoy;
}

int hash_pool_fd(const struct hash_pool *self) {
    return self->event;
}

bool hash_pool_next(struct hash_pool *self, struct hash_result *out) {
    uint64_t told = 0;

    pthread_mutex_lock(&self->lock);
    struct job *job = list_take(&self->done);
    if (job == NULL) {
        /* Under the lock, so that no result can come between the look and the silence. */
        ssize_t got = read(self->event, &told, sizeof told);
        (void)got;
        pthread_mutex_unlock(&self->lock);
        return false;
    }
    memset(out, 0, sizeof *out);
    out->tag = job->tag;
    out->outcome = job->outcome;
    if (job->outcome == HASH_made) memcpy(out->phc, job->phc, sizeof out->phc);
    sodium_memzero(job->phc, sizeof job->phc);
    job->next = self->free;
    self->free = job;
    self->busy--;
    pthread_mutex_unlock(&self->lock);
    return true;
}

uint32_t hash_pool_busy(struct hash_pool *self) {
    pthread_mutex_lock(&self->lock);
    uint32_t busy = self->busy;
    pthread_mutex_unlock(&self->lock);
    return busy;
}
