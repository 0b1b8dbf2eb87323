#include "tools/doorsim/proxy.h"

#include "broker/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PAIRS_MAX = 128, PIECE_MAX = 16384, KEPT_MAX = 1 << 20, ADDRESS_MAX = 200 };

/* Bytes on their way; they may leave at `due`. */
struct piece {
    struct piece *next;
    int64_t due;
    size_t size, sent;
    char bytes[];
};

struct way {
    struct piece *first, *last;
    size_t kept;
    int64_t free_at; /* When the rate lets the next byte through. */
    bool ended;      /* Its sender has sent its last byte. */
};

/* A connection of a client and the one made for it. */
struct pair {
    bool used;
    int fd[PROXY_WAYS]; /* The server's and the client's: where each way leads to. */
    struct way ways[PROXY_WAYS];
};

struct proxy {
    pthread_t thread;
    pthread_mutex_t lock; /* Of what follows. */
    struct proxy_faults faults;
    struct proxy_count count;
    char target[ADDRESS_MAX];
    int64_t passed[PROXY_WAYS]; /* Since cut_after was set. */
    bool ending, cut, reset;

    int listener, wake;
    char path[ADDRESS_MAX]; /* Of the listener; "" for TCP. */
    uint64_t random;
    struct pair pairs[PAIRS_MAX];
};

/* ---- Addresses ---- */

static bool read_address(const char *text, struct sockaddr_storage *at, socklen_t *size) {
    memset(at, 0, sizeof *at);
    if (text[0] == '/') {
        struct sockaddr_un *un = (struct sockaddr_un *)at;
        if (strlen(text) >= sizeof un->sun_path) return false;
        un->sun_family = AF_UNIX;
        (void)snprintf(un->sun_path, sizeof un->sun_path, "%s", text);
        *size = sizeof *un;
        return true;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)at;
    char host[64];
    const char *colon = strrchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= sizeof host) return false;
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)strtol(colon + 1, NULL, 10));
    *size = sizeof *in;
    return inet_pton(AF_INET, host, &in->sin_addr) == 1;
}

static int open_socket(const char *address, struct sockaddr_storage *at, socklen_t *size) {
    if (!read_address(address, at, size)) return -1;
    return socket(at->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Loopback: it is there at once or not at all. */
static int connect_to(const char *address) {
    struct sockaddr_storage at;
    socklen_t size;
    int fd = open_socket(address, &at, &size);
    if (fd < 0) return -1;
    if (connect(fd, (struct sockaddr *)&at, size) == 0 || errno == EINPROGRESS) return fd;
    (void)close(fd);
    return -1;
}

static int listen_at(const char *address) {
    struct sockaddr_storage at;
    socklen_t size;
    int one = 1, fd = open_socket(address, &at, &size);
    if (fd < 0) return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (address[0] == '/') (void)unlink(address);
    if (bind(fd, (struct sockaddr *)&at, size) == 0 && listen(fd, PAIRS_MAX) == 0) return fd;
    (void)close(fd);
    return -1;
}

/* ---- Connections.  All of this runs in the thread, with the lock held. ---- */

static void drop(struct proxy *self, struct pair *pair, bool reset) {
    const struct linger now = { .l_onoff = 1, .l_linger = 0 };
    if (!pair->used) return;
    for (int way = 0; way < PROXY_WAYS; way++) {
        if (reset) (void)setsockopt(pair->fd[way], SOL_SOCKET, SO_LINGER, &now, sizeof now);
        if (pair->fd[way] >= 0) (void)close(pair->fd[way]);
        for (struct piece *piece = pair->ways[way].first, *next; piece != NULL; piece = next) {
            next = piece->next;
            free(piece);
        }
    }
    *pair = (struct pair){ .used = false };
    self->count.cuts++;
}

static void accept_one(struct proxy *self) {
    int client = accept4(self->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct pair *pair = self->pairs;
    if (client < 0) return;
    while (pair < self->pairs + PAIRS_MAX && pair->used)
        pair++;
    int server = -1;
    bool full = pair == self->pairs + PAIRS_MAX;
    if (!full && !self->faults.refuse && !self->faults.hang) server = connect_to(self->target);
    if (full || (server < 0 && !self->faults.hang)) {
        (void)close(client);
        return;
    }
    *pair = (struct pair){ .used = true, .fd = { server, client } };
    self->count.connections++;
}

static int64_t draw(struct proxy *self, int64_t bound) {
    self->random = self->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return bound <= 0 ? 0 : (int64_t)((self->random >> 33) % (uint64_t)bound);
}

/* Takes what the sender has; false when the connection is broken. */
static bool take(struct proxy *self, struct pair *pair, enum proxy_way way) {
    struct way *it = &pair->ways[way];
    char bytes[PIECE_MAX];
    ssize_t got = recv(pair->fd[!way], bytes, sizeof bytes, 0);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) {
        it->ended = true;
        return true;
    }
    struct piece *piece = malloc(sizeof *piece + (size_t)got);
    if (piece == NULL) return false;
    const struct proxy_faults *faults = &self->faults;
    int64_t due = clock_mono() + faults->delay_ns[way] + draw(self, faults->jitter_ns[way]);
    if (it->last != NULL && due < it->last->due) due = it->last->due;
    *piece = (struct piece){ .due = due, .size = (size_t)got };
    memcpy(piece->bytes, bytes, (size_t)got);
    if (it->last != NULL)
        it->last->next = piece;
    else
        it->first = piece;
    it->last = piece;
    it->kept += (size_t)got;
    return true;
}

/* How many bytes may pass now: 0 for none. */
static size_t may_pass(const struct proxy *self, const struct way *it, enum proxy_way way,
                       int64_t now) {
    const struct proxy_faults *faults = &self->faults;
    size_t most = it->first->size - it->first->sent;
    if (faults->block[way] || it->first->due > now || it->free_at > now) return 0;
    if (faults->rate[way] > 0 && most > 256) most = 256;
    int64_t left = faults->cut_after[way] - self->passed[way];
    if (faults->cut_after[way] > 0 && left < (int64_t)most) most = left > 0 ? (size_t)left : 0;
    return most;
}

/* False when the connection is broken or has come to its end. */
static bool pass(struct proxy *self, struct pair *pair, enum proxy_way way) {
    struct way *it = &pair->ways[way];
    int64_t now = clock_mono();
    while (it->first != NULL) {
        struct piece *piece = it->first;
        size_t most = may_pass(self, it, way, now);
        if (most == 0 || pair->fd[way] < 0) return true;
        ssize_t sent = send(pair->fd[way], piece->bytes + piece->sent, most, MSG_NOSIGNAL);
        if (sent < 0) return errno == EAGAIN || errno == EINTR || errno == ENOTCONN;
        piece->sent += (size_t)sent;
        it->kept -= (size_t)sent;
        self->count.bytes[way] += (uint64_t)sent;
        self->passed[way] += sent;
        if (self->faults.rate[way] > 0)
            it->free_at = now + sent * INT64_C(1000000000) / self->faults.rate[way];
        if (piece->sent < piece->size) continue;
        it->first = piece->next;
        if (it->first == NULL) it->last = NULL;
        free(piece);
    }
    return !it->ended;
}

static void drop_all(struct proxy *self, bool reset) {
    for (struct pair *pair = self->pairs; pair < self->pairs + PAIRS_MAX; pair++)
        drop(self, pair, reset);
}

static void cut_if_due(struct proxy *self) {
    for (int way = 0; way < PROXY_WAYS; way++) {
        int64_t limit = self->faults.cut_after[way];
        if (limit <= 0 || self->passed[way] < limit) continue;
        self->faults.cut_after[way] = 0;
        drop_all(self, false);
    }
    if (self->cut) drop_all(self, self->reset);
    self->cut = false;
}

/* ---- The thread ---- */

struct watch {
    struct pollfd fds[2 + 2 * PAIRS_MAX];
    struct pair *pair[2 + 2 * PAIRS_MAX];
    enum proxy_way way[2 + 2 * PAIRS_MAX]; /* Whose sender this is. */
    nfds_t count;
};

static void watch_all(struct proxy *self, struct watch *watch) {
    watch->fds[0] = (struct pollfd){ .fd = self->listener, .events = POLLIN };
    watch->fds[1] = (struct pollfd){ .fd = self->wake, .events = POLLIN };
    watch->count = 2;
    for (struct pair *pair = self->pairs; pair < self->pairs + PAIRS_MAX; pair++) {
        for (int way = 0; pair->used && way < PROXY_WAYS; way++) {
            const struct way *it = &pair->ways[way];
            if (it->ended || it->kept >= KEPT_MAX || pair->fd[!way] < 0) continue;
            watch->fds[watch->count] = (struct pollfd){ .fd = pair->fd[!way], .events = POLLIN };
            watch->pair[watch->count] = pair;
            watch->way[watch->count++] = (enum proxy_way)way;
        }
    }
}

/* Bytes that wait are looked at every millisecond: simpler than sorting what they wait for. */
static int patience(const struct proxy *self) {
    for (const struct pair *pair = self->pairs; pair < self->pairs + PAIRS_MAX; pair++) {
        for (int way = 0; pair->used && way < PROXY_WAYS; way++) {
            if (pair->ways[way].first != NULL && !self->faults.block[way]) return 1;
        }
    }
    return 100;
}

static void turn(struct proxy *self, const struct watch *watch) {
    for (nfds_t i = 2; i < watch->count; i++) {
        struct pair *pair = watch->pair[i];
        if (watch->fds[i].revents == 0 || !pair->used) continue;
        if (!take(self, pair, watch->way[i])) drop(self, pair, false);
    }
    for (struct pair *pair = self->pairs; pair < self->pairs + PAIRS_MAX; pair++) {
        for (int way = 0; pair->used && way < PROXY_WAYS; way++) {
            bool ended = pair->ways[way].ended && pair->ways[way].first == NULL;
            if (!pass(self, pair, (enum proxy_way)way) || ended) drop(self, pair, false);
        }
    }
    cut_if_due(self);
    if ((watch->fds[0].revents & POLLIN) != 0) accept_one(self);
}

static void *run(void *context) {
    struct proxy *self = context;
    static _Thread_local struct watch watch;
    uint64_t told;
    pthread_mutex_lock(&self->lock);
    while (!self->ending) {
        watch_all(self, &watch);
        int limit = patience(self);
        pthread_mutex_unlock(&self->lock);
        (void)poll(watch.fds, watch.count, limit);
        pthread_mutex_lock(&self->lock);
        if ((watch.fds[1].revents & POLLIN) != 0) (void)!read(self->wake, &told, sizeof told);
        turn(self, &watch);
    }
    drop_all(self, false);
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

static void wake_up(const struct proxy *self) {
    const uint64_t one = 1;
    (void)!write(self->wake, &one, sizeof one);
}

struct proxy *proxy_open(const char *listen, const char *target) {
    struct proxy *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    self->listener = listen_at(listen);
    self->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->random = 1;
    (void)snprintf(self->target, sizeof self->target, "%s", target);
    if (listen[0] == '/') (void)snprintf(self->path, sizeof self->path, "%s", listen);
    pthread_mutex_init(&self->lock, NULL);
    if (self->listener < 0 || self->wake < 0 ||
        pthread_create(&self->thread, NULL, run, self) != 0) {
        fprintf(stderr, "proxy: could not listen at %s: %s\n", listen, strerror(errno));
        if (self->listener >= 0) (void)close(self->listener);
        if (self->wake >= 0) (void)close(self->wake);
        free(self);
        return NULL;
    }
    return self;
}

void proxy_close(struct proxy **self) {
    struct proxy *gone = *self;
    if (gone == NULL) return;
    *self = NULL;
    pthread_mutex_lock(&gone->lock);
    gone->ending = true;
    pthread_mutex_unlock(&gone->lock);
    wake_up(gone);
    (void)pthread_join(gone->thread, NULL);
    (void)close(gone->listener);
    (void)close(gone->wake);
    if (gone->path[0] != '\0') (void)unlink(gone->path);
    pthread_mutex_destroy(&gone->lock);
    free(gone);
}

void proxy_set(struct proxy *self, const struct proxy_faults *faults) {
    pthread_mutex_lock(&self->lock);
    self->faults = *faults;
    memset(self->passed, 0, sizeof self->passed);
    pthread_mutex_unlock(&self->lock);
    wake_up(self);
}

void proxy_cut(struct proxy *self, bool reset) {
    pthread_mutex_lock(&self->lock);
    self->cut = true;
    self->reset = reset;
    pthread_mutex_unlock(&self->lock);
    wake_up(self);
}

void proxy_target(struct proxy *self, const char *target) {
    pthread_mutex_lock(&self->lock);
    (void)snprintf(self->target, sizeof self->target, "%s", target);
    pthread_mutex_unlock(&self->lock);
}

struct proxy_count proxy_count(struct proxy *self) {
    pthread_mutex_lock(&self->lock);
    struct proxy_count count = self->count;
    pthread_mutex_unlock(&self->lock);
    return count;
}
