/* libcurl's multi interface behind one epoll descriptor. */
#include "broker/net/transfers.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "broker/crash.h"

enum { EVENTS_MAX = 64, MS_NS = 1000000, IDLE_CHECK_MS = 1000 };

struct transfers {
    CURLM *multi;
    int epoll;
    uint32_t max;
    uint32_t busy;
    struct transfer *slots;
    struct transfer *free;
    struct transfer *ended;
    struct transfer **ended_tail;
};

/* libcurl says which sockets it waits for. */
static int watch(CURL *easy, curl_socket_t fd, int what, void *context, void *per_socket) {
    const struct transfers *self = context;
    struct epoll_event event = { .data = { .fd = fd } };

    (void)easy;
    (void)per_socket;
    if (what == CURL_POLL_REMOVE) {
        /* A socket that is closed already has left by itself. */
        (void)epoll_ctl(self->epoll, EPOLL_CTL_DEL, fd, &event);
        return 0;
    }
    if ((what & CURL_POLL_IN) != 0) event.events |= EPOLLIN;
    if ((what & CURL_POLL_OUT) != 0) event.events |= EPOLLOUT;
    if (epoll_ctl(self->epoll, EPOLL_CTL_MOD, fd, &event) == 0) return 0;
    /* An unwatched socket ends by its transfer's timeout, as a silent peer does. */
    (void)epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event);
    return 0;
}

static size_t give(char *to, size_t size, size_t count, void *context) {
    struct transfer *transfer = context;
    size_t left = transfer->sent_size - transfer->sent_at;
    size_t part = size * count < left ? size * count : left;

    if (part > 0) memcpy(to, transfer->sent + transfer->sent_at, part);
    transfer->sent_at += part;
    return part;
}

/* libcurl rewinds when it sends again on a new connection. */
static int rewind_body(void *context, curl_off_t offset, int origin) {
    struct transfer *transfer = context;

    if (origin != SEEK_SET || offset < 0 || (size_t)offset > transfer->sent_size) {
        return CURL_SEEKFUNC_FAIL;
    }
    transfer->sent_at = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

static size_t keep(char *from, size_t size, size_t count, void *context) {
    struct transfer *transfer = context;
    size_t part = size * count;

    if (part > transfer->got_max - transfer->got_size) return 0; /* Ends in CURLE_WRITE_ERROR. */
    memcpy(transfer->got + transfer->got_size, from, part);
    transfer->got_size += part;
    transfer->got[transfer->got_size] = '\0';
    return part;
}

static bool slot_init(struct transfer *slot, size_t sent_max, size_t got_max) {
    slot->sent_max = sent_max;
    slot->got_max = got_max;
    slot->sent = malloc(sent_max + 1);
    slot->got = malloc(got_max + 1);
    slot->easy = curl_easy_init();
    return slot->sent != NULL && slot->got != NULL && slot->easy != NULL;
}

struct transfers *transfers_open(uint32_t max, size_t sent_max, size_t got_max) {
    assert(max > 0);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return NULL;

    struct transfers *self = calloc(1, sizeof *self);
    if (self == NULL) {
        curl_global_cleanup();
        return NULL;
    }
    self->max = max;
    self->ended_tail = &self->ended;
    self->multi = curl_multi_init();
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    self->slots = calloc(max, sizeof *self->slots);
    bool good = self->multi != NULL && self->epoll >= 0 && self->slots != NULL;
    for (uint32_t i = 0; good && i < max; i++) {
        good = slot_init(&self->slots[i], sent_max, got_max);
        self->slots[i].next_ = self->free;
        self->free = &self->slots[i];
    }
    if (!good) {
        transfers_close(&self);
        return NULL;
    }
    curl_multi_setopt(self->multi, CURLMOPT_SOCKETFUNCTION, watch);
    curl_multi_setopt(self->multi, CURLMOPT_SOCKETDATA, self);
    curl_multi_setopt(self->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)max);
    curl_multi_setopt(self->multi, CURLMOPT_MAXCONNECTS, (long)max);
    curl_multi_setopt(self->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    return self;
}

void transfers_close(struct transfers **self) {
    struct transfers *gone = *self;

    if (gone == NULL) return;
    *self = NULL;
    for (uint32_t i = 0; gone->slots != NULL && i < gone->max; i++) {
        struct transfer *slot = &gone->slots[i];
        if (slot->easy != NULL) {
            curl_multi_remove_handle(gone->multi, slot->easy);
            curl_easy_cleanup(slot->easy);
        }
        curl_slist_free_all(slot->lines);
        free(slot->sent);
        free(slot->got);
    }
    if (gone->multi != NULL) curl_multi_cleanup(gone->multi);
    if (gone->epoll >= 0) close(gone->epoll);
    free(gone->slots);
    free(gone);
    curl_global_cleanup();
}

struct transfer *transfers_take(struct transfers *self, int64_t timeout_ns) {
    struct transfer *slot = self->free;

    if (slot == NULL) return NULL;
    self->free = slot->next_;
    self->busy++;
    slot->next_ = NULL;
    slot->sent_size = slot->sent_at = slot->got_size = 0;
    slot->got[0] = slot->error[0] = '\0';
    slot->status = 0;
    slot->reached = false;

    long timeout_ms = (long)(timeout_ns / MS_NS);
    curl_easy_setopt(slot->easy, CURLOPT_PRIVATE, slot);
    curl_easy_setopt(slot->easy, CURLOPT_NOSIGNAL, 1L);
    /* What the environment says about proxies is about somebody else's traffic. */
    curl_easy_setopt(slot->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(slot->easy, CURLOPT_TIMEOUT_MS, timeout_ms > 0 ? timeout_ms : 1L);
    curl_easy_setopt(slot->easy, CURLOPT_ERRORBUFFER, slot->error);
    curl_easy_setopt(slot->easy, CURLOPT_READFUNCTION, give);
    curl_easy_setopt(slot->easy, CURLOPT_READDATA, slot);
    curl_easy_setopt(slot->easy, CURLOPT_SEEKFUNCTION, rewind_body);
    curl_easy_setopt(slot->easy, CURLOPT_SEEKDATA, slot);
    curl_easy_setopt(slot->easy, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(slot->easy, CURLOPT_WRITEDATA, slot);
    return slot;
}

bool transfer_line(struct transfer *transfer, const char *line) {
    struct curl_slist *longer = curl_slist_append(transfer->lines, line);

    if (longer == NULL) return false;
    transfer->lines = longer;
    return true;
}

bool transfers_start(struct transfers *self, struct transfer *transfer) {
    CRASH_POINT(transfer_starting);
    if (curl_multi_add_handle(self->multi, transfer->easy) == CURLM_OK) {
        CRASH_POINT(transfer_started);
        return true;
    }
    transfers_release(self, transfer);
    return false;
}

int transfers_fd(const struct transfers *self) {
    return self->epoll;
}

int64_t transfers_timeout(const struct transfers *self) {
    long ms = -1;

    if (self->ended != NULL) return 0;
    if (self->busy == 0) return -1;
    (void)curl_multi_timeout(self->multi, &ms);
    return (ms < 0 ? IDLE_CHECK_MS : (int64_t)ms) * MS_NS;
}

static void end(struct transfers *self, const struct CURLMsg *told) {
    struct transfer *transfer = NULL;
    long request_size = 0;

    curl_easy_getinfo(told->easy_handle, CURLINFO_PRIVATE, &transfer);
    transfer->code = told->data.result;
    curl_easy_getinfo(told->easy_handle, CURLINFO_RESPONSE_CODE, &transfer->status);
    curl_easy_getinfo(told->easy_handle, CURLINFO_REQUEST_SIZE, &request_size);
    transfer->reached = request_size > 0;
    curl_multi_remove_handle(self->multi, transfer->easy);
    transfer->next_ = NULL;
    *self->ended_tail = transfer;
    self->ended_tail = &transfer->next_;
}

void transfers_step(struct transfers *self) {
    struct epoll_event events[EVENTS_MAX];
    int running = 0;
    int left = 0;

    if (self->busy == 0) return;
    CRASH_POINT(transfer_moving);
    int count = epoll_wait(self->epoll, events, EVENTS_MAX, 0);
    for (int i = 0; i < count; i++) {
        int what = 0;
        if ((events[i].events & EPOLLIN) != 0) what |= CURL_CSELECT_IN;
        if ((events[i].events & EPOLLOUT) != 0) what |= CURL_CSELECT_OUT;
        if ((events[i].events & (EPOLLERR | EPOLLHUP)) != 0) what |= CURL_CSELECT_ERR;
        curl_multi_socket_action(self->multi, events[i].data.fd, what, &running);
    }
    curl_multi_socket_action(self->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    CRASH_POINT(transfer_moved);

    for (;;) {
        const struct CURLMsg *told = curl_multi_info_read(self->multi, &left);
        if (told == NULL) break;
        if (told->msg == CURLMSG_DONE) end(self, told);
    }
}

struct transfer *transfers_next(struct transfers *self) {
    struct transfer *transfer = self->ended;

    if (transfer == NULL) return NULL;
    self->ended = transfer->next_;
    if (self->ended == NULL) self->ended_tail = &self->ended;
    transfer->next_ = NULL;
    return transfer;
}

void transfers_release(struct transfers *self, struct transfer *transfer) {
    assert(self->busy > 0);
    curl_easy_reset(transfer->easy); /* Before the lines go that it refers to. */
    curl_slist_free_all(transfer->lines);
    transfer->lines = NULL;
    transfer->next_ = self->free;
    self->free = transfer;
    self->busy--;
}

uint32_t transfers_busy(const struct transfers *self) {
    return self->busy;
}
