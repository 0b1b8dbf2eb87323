/* Sockets: accepted, read until a request is complete, written until the client has everything. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/crash.h"
#include "broker/http/internal.h"
#include "broker/log.h"

enum { ACCEPTS_MAX = 64, FIRST_BUFFER = 2048, PIPELINED_MAX = 32 };
enum { RESERVE_LEAST = 16, RESERVE_MOST = 2048 };

void http_queue(struct connection *it) {
    struct port *self = it->port;
    if (it->queued) return;
    it->queued = true;
    self->work_count++;
    it->next_work = NULL;
    if (self->work_last != NULL)
        self->work_last->next_work = it;
    else
        self->work_first = it;
    self->work_last = it;
}

static void leave(struct connection *it) {
    struct phase_list *list = &it->port->phases[it->phase];
    if (it->before != NULL)
        it->before->behind = it->behind;
    else
        list->first = it->behind;
    if (it->behind != NULL)
        it->behind->before = it->before;
    else
        list->last = it->before;
}

static void join(struct connection *it, enum phase phase) {
    struct phase_list *list = &it->port->phases[phase];
    it->phase = phase;
    it->since = it->port->mono;
    it->behind = NULL;
    it->before = list->last;
    if (list->last != NULL)
        list->last->behind = it;
    else
        list->first = it;
    list->last = it;
}

void http_enter(struct connection *it, enum phase phase) {
    leave(it);
    join(it, phase);
}

static void on_readable(evutil_socket_t fd, short what, void *context) {
    struct connection *it = context;
    (void)fd, (void)what;
    it->can_read = true;
    http_queue(it);
}

static void on_writable(evutil_socket_t fd, short what, void *context) {
    struct connection *it = context;
    (void)fd, (void)what;
    it->can_write = true;
    http_queue(it);
}

static void note_peer(struct connection *it, const struct sockaddr_storage *from) {
    const void *address = &((const struct sockaddr_in *)(const void *)from)->sin_addr;
    size_t size = sizeof(struct in_addr);
    if (from->ss_family == AF_INET6) {
        address = &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr;
        size = 8; /* A client chooses the rest of an IPv6 address as it likes. */
    }
    it->peer_key = 0;
    memcpy(&it->peer_key, address, size);
    if (inet_ntop(from->ss_family, address, it->peer, sizeof it->peer) == NULL) it->peer[0] = 0;
}

static void open_connection(struct port *self, int fd, bool admin,
                            const struct sockaddr_storage *from) {
    struct connection *it = &self->connections[self->unused[--self->unused_count]];
    uint32_t index = it->index, generation = it->generation;
    bool queued = it->queued; /* Closed in this turn, and still in the work list. */
    struct connection *next_work = it->next_work;
    int one = 1;
    memset(it, 0, sizeof *it);
    it->port = self;
    it->index = index;
    it->generation = generation;
    it->queued = queued;
    it->next_work = next_work;
    it->fd = fd;
    it->admin = admin;
    note_peer(it, from);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    join(it, PHASE_idle);
    event_assign(&it->readable, self->base, fd, EV_READ | EV_PERSIST, on_readable, it);
    event_assign(&it->writable, self->base, fd, EV_WRITE | EV_PERSIST, on_writable, it);
    event_add(&it->readable, NULL);
    metric_change(self->metrics.connections, 1);
    it->can_read = true; /* Most clients have sent their request by now. */
    http_queue(it);
}

/* No descriptor is left: take one connection by the spare one, only to close it; otherwise it would
 * wait in the backlog and wake us for ever. */
static void shed(struct port *self, struct listening *from) {
    close(self->spare_fd);
    int fd = accept4(from->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) close(fd);
    self->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    metric_add(self->metrics.refused, 1);
    log_warn("http", "out of descriptors", LOG_END);
}

/* Shoppers get descriptors below this one; the rest is for the stores, the providers and the
 * operators' door, whose library ends the process when it cannot accept a connection. */
static int descriptors_end(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX) return INT_MAX;
    int all = (int)limit.rlim_cur, reserve = all / 4;
    if (reserve < RESERVE_LEAST) reserve = RESERVE_LEAST;
    if (reserve > RESERVE_MOST) reserve = RESERVE_MOST;
    return all - reserve;
}

void http_accept(struct port *self, struct listening *from) {
    int end = descriptors_end();
    from->pending = false;
    for (int i = 0; i < ACCEPTS_MAX && from->fd >= 0; i++) {
        struct sockaddr_storage peer = { 0 };
        socklen_t size = sizeof peer;
        int fd = accept4(from->fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE) shed(self, from);
            return;
        }
        /* A new descriptor is the lowest that is free: those below are all in use. */
        if (self->unused_count == 0 || fd >= end) {
            close(fd);
            metric_add(self->metrics.refused, 1);
            continue;
        }
        open_connection(self, fd, from == &self->admin, &peer);
    }
}

void http_close(struct connection *it) {
    struct port *self = it->port;
    if (it->fd < 0) return;
    if (it->phase == PHASE_waiting) {
        self->inflight--;
        metric_set(self->metrics.inflight, self->inflight);
    }
    leave(it);
    it->generation++; /* An answer that is still on its way finds nobody. */
    event_del(&it->readable);
    event_del(&it->writable);
    close(it->fd);
    it->fd = -1;
    free(it->in);
    free(it->out);
    free(it->rows);
    it->in = it->out = it->rows = NULL;
    self->unused[self->unused_count++] = it->index;
    metric_change(self->metrics.connections, -1);
}

/* ---- Reading ---- */

static bool grow(struct connection *it) {
    size_t size = it->in_size == 0 ? FIRST_BUFFER : it->in_size * 2;
    if (size > it->port->in_max) size = it->port->in_max;
    if (size == it->in_size) return false;
    char *larger = realloc(it->in, size);
    if (larger == NULL) return false;
    it->in = larger;
    it->in_size = size;
    return true;
}

/* An idle connection keeps at most a small buffer. */
static void shrink(struct connection *it) {
    if (it->in_used > 0 || it->in_size <= FIRST_BUFFER) return;
    free(it->in);
    it->in = NULL;
    it->in_size = 0;
}

/* False: the client has gone. */
static bool receive(struct connection *it) {
    it->can_read = false;
    if (it->phase == PHASE_lingering) it->in_used = 0; /* Nobody reads it any more. */
    if (it->in_used == it->in_size && !grow(it)) {
        /* Behind the request under way the client has sent more than we keep. */
        event_del(&it->readable);
        it->paused = true;
        return true;
    }
    ssize_t got = recv(it->fd, it->in + it->in_used, it->in_size - it->in_used, 0);
    if (got == 0) return false;
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    it->in_used += (size_t)got;
    return true;
}

static void resume(struct connection *it) {
    if (!it->paused) return;
    it->paused = false;
    event_add(&it->readable, NULL);
    it->can_read = true;
    http_queue(it);
}

/* Forgets the first bytes of the buffer: a request that is done. */
static void consume(struct connection *it, size_t size) {
    it->in_used -= size;
    memmove(it->in, it->in + size, it->in_used);
    it->scanned = it->head_size = it->body_size = 0;
    it->chunked = it->told_continue = false;
    it->chunks = (struct http_chunks){ 0 };
}

/* Refuses what cannot be read any further, and closes. */
static void refuse(struct connection *it, enum problem problem, const char *detail) {
    it->keep_alive = false;
    it->in_used = 0;
    it->head_only = false;
    it->trace = http_trace(it->port, NULL);
    it->started = it->port->mono;
    it->shown = 0;
    http_problem_plain(it, problem, detail);
}

/* The head, once it is complete.  DONE: head_size and the framing of the body are known. */
static enum http_progress take_head(struct connection *it) {
    struct port *self = it->port;
    size_t size = 0;
    enum http_progress progress = http_find_head(it->in, it->in_used, &it->scanned, &size);
    if (progress == HTTP_BAD) {
        refuse(it, PROBLEM_malformed, "this is not HTTP/1.1");
        return HTTP_BAD;
    }
    if (progress == HTTP_DONE ? size > self->head_max : it->in_used > self->head_max) {
        refuse(it, PROBLEM_headers_too_large, NULL);
        return HTTP_BAD;
    }
    if (progress == HTTP_MORE) return HTTP_MORE;
    if (http_parse_head(it->in, size, &self->head) == HTTP_BAD) {
        enum problem problem = self->head.too_many ? PROBLEM_headers_too_large : PROBLEM_malformed;
        refuse(it, problem, self->head.flaw);
        return HTTP_BAD;
    }
    if (self->head.length > self->body_max) {
        refuse(it, PROBLEM_too_large, NULL);
        return HTTP_BAD;
    }
    it->head_size = size;
    it->body_size = (size_t)self->head.length;
    it->chunked = self->head.chunked;
    return HTTP_DONE;
}

static enum http_progress take_body(struct connection *it) {
    if (!it->chunked) {
        return it->in_used - it->head_size >= it->body_size ? HTTP_DONE : HTTP_MORE;
    }
    size_t have = it->in_used - it->head_size;
    bool large;
    enum http_progress progress =
        http_read_chunks(&it->chunks, it->in + it->head_size, &have, it->port->body_max, &large);
    it->in_used = it->head_size + have;
    it->body_size = it->chunks.out;
    if (progress == HTTP_BAD) {
        refuse(it, large ? PROBLEM_too_large : PROBLEM_malformed,
               large ? NULL : "the chunks are broken");
    }
    return progress;
}

/* A client that asked whether it may send its body. */
static void tell_continue(struct connection *it) {
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (!it->port->head.wants_continue || it->told_continue) return;
    it->told_continue = true;
    /* A new connection's socket buffer is empty; if not, the client sends its body anyway. */
    CRASH_POINT(http_continuing);
    (void)!send(it->fd, line, sizeof line - 1, MSG_NOSIGNAL);
    CRASH_POINT(http_continued);
}

/* One request out of the buffer.  MORE: it is not complete. */
static enum http_progress take_request(struct connection *it, struct outbox *out) {
    struct port *self = it->port;
    bool fresh = it->head_size == 0; /* Then self->head is of this very request. */
    enum http_progress progress;
    if (it->phase == PHASE_idle) http_enter(it, PHASE_receiving);
    if (fresh && (progress = take_head(it)) != HTTP_DONE) return progress;
    if ((progress = take_body(it)) != HTTP_DONE) {
        if (progress == HTTP_MORE && fresh) tell_continue(it);
        return progress;
    }
    if (!fresh) http_parse_head(it->in, it->head_size, &self->head);
    it->keep_alive = self->head.keep_alive && !self->stopping;
    it->head_only = self->head.head_only;
    it->old = self->head.old;
    it->trace = http_trace(self, &self->head);
    it->started = self->mono;
    it->shown = 0;
    struct text body = { it->in + it->head_size, (uint32_t)it->body_size };
    size_t size = it->head_size + it->body_size;
    it->generation++;
    CRASH_POINT(http_taken);
    http_request(it, body, out);
    CRASH_POINT(http_asked);
    /* The reply may have been the last one, and then nothing is left in the buffer. */
    if (it->fd >= 0 && it->in_used >= size) consume(it, size);
    return HTTP_DONE;
}

bool http_serve(struct connection *it, struct outbox *out) {
    if (it->fd < 0) return true;
    if (it->can_write) {
        it->can_write = false;
        http_send(it, (struct text){ NULL, 0 }, (struct text){ NULL, 0 });
        if (it->fd < 0) return true;
    }
    if (it->can_read && !receive(it)) {
        http_close(it);
        return true;
    }
    for (int i = 0; it->fd >= 0 && it->in_used > 0 && it->phase <= PHASE_receiving; i++) {
        if (outbox_room(out) == 0 || i == PIPELINED_MAX) {
            http_queue(it);
            return outbox_room(out) > 0;
        }
        if (take_request(it, out) != HTTP_DONE) break;
        if (it->fd >= 0) resume(it);
    }
    if (it->fd >= 0) shrink(it);
    return true;
}

/* ---- Writing ---- */

/* Keeps what the socket did not take. */
static bool keep_rest(struct connection *it, struct text head, struct text body, size_t sent) {
    size_t all = (size_t)head.size + body.size;
    if (sent >= all) return true;
    it->out = malloc(all - sent);
    if (it->out == NULL) return false;
    size_t skip = sent < head.size ? sent : head.size;
    if (head.size > skip) memcpy(it->out, head.at + skip, head.size - skip);
    it->out_used = head.size - skip;
    skip = sent - skip;
    if (body.size > skip) memcpy(it->out + it->out_used, body.at + skip, body.size - skip);
    it->out_used += body.size - skip;
    it->out_sent = 0;
    return true;
}

/* Everything is out: the next request, or the end. */
static void written(struct connection *it) {
    if (it->out != NULL) event_del(&it->writable);
    free(it->out);
    it->out = NULL;
    it->out_used = it->out_sent = 0;
    if (it->keep_alive) {
        http_enter(it, PHASE_idle);
        if (it->in_used > 0) http_queue(it);
        resume(it);
        return;
    }
    /* Closing with unread bytes would make the kernel throw our last words away. */
    shutdown(it->fd, SHUT_WR);
    http_enter(it, PHASE_lingering);
    it->in_used = 0;
    resume(it);
}

void http_send(struct connection *it, struct text head, struct text body) {
    struct iovec pieces[2] = { { (char *)(uintptr_t)head.at, head.size },
                               { (char *)(uintptr_t)body.at, body.size } };
    struct msghdr message = { .msg_iov = pieces, .msg_iovlen = 2 };
    bool first = it->out == NULL;
    if (first && head.size == 0) return;
    if (!first) {
        pieces[0] = (struct iovec){ it->out + it->out_sent, it->out_used - it->out_sent };
        message.msg_iovlen = 1;
    }
    CRASH_POINT(http_answering);
    ssize_t sent = sendmsg(it->fd, &message, MSG_NOSIGNAL);
    CRASH_POINT(http_answered);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        http_close(it);
        return;
    }
    if (sent < 0) sent = 0;
    if (first && !keep_rest(it, head, body, (size_t)sent)) {
        http_close(it);
        return;
    }
    if (!first) it->out_sent += (size_t)sent;
    if (it->out == NULL || it->out_sent == it->out_used) {
        written(it);
    } else if (first) {
        http_enter(it, PHASE_writing);
        event_add(&it->writable, NULL);
    }
}
