/* The HTTP port's life: open, wait, step, stop, close. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/clock.h"
#include "broker/http/internal.h"
#include "broker/log.h"

#define NS_PER_S INT64_C(1000000000)
enum { BACKLOG = 4096, IN_SLACK = 64, ADMINS_MAX = 64 };
/* Requests in one go: few, so that others get to work on the first while the port is still at the
 * rest, or a crowd goes through all of them as one lump.  But where so many wait unread that not
 * all can be served, to refuse the rest comes first: what nobody has read nobody can refuse. */
enum { PORTION = 64, CROWD_PORTION = 512, CROWD = 1536 };
/* NONBLOCK alone would go round for ever: callbacks only note what is ready. */
enum { LOOK = EVLOOP_ONCE | EVLOOP_NONBLOCK };

static int64_t phase_lasts(const struct port *self, enum phase phase) {
    switch (phase) {
    case PHASE_idle: return HTTP_IDLE_S * NS_PER_S;
    case PHASE_waiting: return self->answer_max;
    case PHASE_lingering: return HTTP_LINGER_S * NS_PER_S;
    case PHASE_receiving:
    case PHASE_writing:
    case PHASE_COUNT: break;
    }
    return self->deadline;
}

/* ---- Opening ---- */

static void on_connection(evutil_socket_t fd, short what, void *context) {
    struct listening *it = context;
    (void)fd, (void)what;
    it->pending = true;
}

static uint16_t bound_port(int fd) {
    struct sockaddr_storage at = { 0 };
    socklen_t size = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &size) != 0) return 0;
    if (at.ss_family == AF_INET6) {
        return ntohs(((const struct sockaddr_in6 *)(const void *)&at)->sin6_port);
    }
    return ntohs(((const struct sockaddr_in *)(const void *)&at)->sin_port);
}

/* host:port, [v6]:port, or :port for all addresses; port 0 is any that is free. */
static bool find_address(const char *text, struct sockaddr_storage *at, socklen_t *size) {
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *found;
    char host[256];
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon[1] == 0 || (size_t)(colon - text) >= sizeof host) return false;
    size_t length = (size_t)(colon - text);
    bool brackets = length > 2 && text[0] == '[' && text[length - 1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)length - 2 * brackets, text + brackets);
    if (getaddrinfo(length > 0 ? host : NULL, colon + 1, &hints, &found) != 0) return false;
    bool fits = found->ai_addrlen <= sizeof *at;
    if (fits) memcpy(at, found->ai_addr, found->ai_addrlen);
    *size = found->ai_addrlen;
    freeaddrinfo(found);
    return fits;
}

static bool listen_at(struct port *self, struct listening *it, const char *address) {
    struct sockaddr_storage at = { 0 };
    socklen_t size;
    int one = 1;
    if (!find_address(address, &at, &size)) {
        log_error("http", "not an address with a port", LOG_TEXT("listen", address), LOG_END);
        return false;
    }
    int fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        log_error("http", "could not make a socket", LOG_ERRNO("error", errno), LOG_END);
        return false;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, size) != 0 || listen(fd, BACKLOG) != 0) {
        log_error("http", "could not listen", LOG_TEXT("listen", address),
                  LOG_ERRNO("error", errno), LOG_END);
        close(fd);
        return false;
    }
    it->fd = fd;
    it->tcp_port = bound_port(fd);
    event_assign(&it->event, self->base, fd, EV_READ | EV_PERSIST, on_connection, it);
    event_add(&it->event, NULL);
    log_info("http", "listening", LOG_TEXT("listen", address), LOG_I64("tcp_port", it->tcp_port),
             LOG_END);
    return true;
}

static bool take_memory(struct port *self) {
    self->connections = calloc(self->connections_max, sizeof *self->connections);
    self->unused = calloc(self->connections_max, sizeof *self->unused);
    self->scratch = malloc(HTTP_SCRATCH);
    self->texts = malloc(self->in_max);
    if (self->connections == NULL || self->unused == NULL) return false;
    if (self->scratch == NULL || self->texts == NULL) return false;
    for (uint32_t i = 0; i < self->connections_max; i++) {
        uint32_t last = self->connections_max - 1 - i;
        self->connections[last].index = last;
        self->connections[last].fd = -1;
        self->connections[last].port = self;
        self->unused[self->unused_count++] = last;
    }
    return true;
}

static void http_port_close(struct port *self);

static struct event_base *make_base(void) {
    struct event_config *config = event_config_new();
    if (config == NULL) return NULL;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

static void http_port_reload(struct port *self, const struct config *config) {
    self->deadline = config->http_deadline;
    self->answer_max = config->http_answer_max;
    self->inflight_max = (uint32_t)config->http_inflight_max;
    if (!http_peers_set(self, config)) log_error("http", "no memory for a rate limit", LOG_END);
}

static struct port *open_with(const struct port_setup *setup, bool shoppers) {
    const struct config *config = setup->config;
    struct port *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    self->keys = setup->keys;
    self->shop.fd = self->admin.fd = -1;
    self->head_max = (size_t)config->http_headers_max;
    self->body_max = (size_t)config->http_body_max;
    self->in_max = self->head_max + self->body_max + IN_SLACK;
    self->shoppers = shoppers;
    self->connections_max = shoppers ? (uint32_t)config->http_connections_max : ADMINS_MAX;
    self->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    self->base = make_base();
    self->wall = clock_now();
    self->mono = clock_mono();
    self->date_second = -1;
    if (getrandom(&self->random, sizeof self->random, 0) < 0) self->random = (uint64_t)self->wall;
    http_metrics_open(&self->metrics);
    http_port_reload(self, config);
    if (self->base == NULL || !take_memory(self) ||
        (shoppers && !listen_at(self, &self->shop, config->http_listen)) ||
        (config->admin_listen[0] != 0 && !listen_at(self, &self->admin, config->admin_listen))) {
        http_port_close(self);
        return NULL;
    }
    return self;
}

static struct port *http_port_open(const struct port_setup *setup) {
    return open_with(setup, true);
}

static struct port *http_admin_port_open(const struct port_setup *setup) {
    if (setup->config->admin_listen[0] == 0)
        log_warn("http", "no admin.listen: this node shows neither health nor metrics", LOG_END);
    return open_with(setup, false);
}

/* ---- Closing ---- */

static void close_listening(struct listening *it) {
    if (it->fd < 0) return;
    event_del(&it->event);
    close(it->fd);
    it->fd = -1;
    it->pending = false;
}

static void http_port_close(struct port *self) {
    if (self == NULL) return;
    close_listening(&self->shop);
    close_listening(&self->admin);
    for (uint32_t i = 0; self->unused != NULL && i < self->connections_max; i++) {
        http_close(&self->connections[i]);
    }
    if (self->base != NULL) event_base_free(self->base);
    if (self->spare_fd >= 0) close(self->spare_fd);
    free(self->connections);
    free(self->unused);
    free(self->scratch);
    free(self->texts);
    free(self->peers);
    free(self);
}

static void stop(struct port *self, const struct message *in) {
    self->stop = *in;
    self->stop.body = NULL;
    self->stopping = true;
    close_listening(&self->shop);
    close_listening(&self->admin);
    while (self->phases[PHASE_idle].first != NULL)
        http_close(self->phases[PHASE_idle].first);
}

/* ---- Running ---- */

static bool http_port_ready(const struct port *self) {
    (void)self;
    return true; /* Answers are always taken: each makes room. */
}

static void read_clocks(struct port *self, int64_t now) {
    self->wall = now;
    self->mono = clock_mono();
}

static void http_port_handle(struct port *self, const struct message *in, uint32_t count,
                             int64_t now, struct outbox *out) {
    (void)out;
    read_clocks(self, now);
    for (uint32_t i = 0; i < count; i++) {
        if (in[i].head.type == MSG_stop)
            stop(self, &in[i]);
        else if (in[i].head.type != MSG_started && in[i].head.type != MSG_tick)
            http_answer(self, &in[i]);
    }
}

static uint32_t http_port_poll(struct port *self, struct pollfd *fds, uint32_t max) {
    (void)self, (void)fds, (void)max;
    return 0; /* wait() is the one that waits. */
}

/* Everything that was under way is answered, and taken by its client. */
static bool may_tell_stopped(const struct port *self) {
    return self->stopping && !self->stop_told && self->phases[PHASE_waiting].first == NULL &&
           self->phases[PHASE_writing].first == NULL;
}

static int64_t http_port_timeout(struct port *self, int64_t now) {
    int64_t least = -1;
    (void)now;
    if (self->work_first != NULL || self->shop.pending || self->admin.pending) return 0;
    if (may_tell_stopped(self)) return 0;
    for (unsigned phase = 0; phase < PHASE_COUNT; phase++) {
        const struct connection *first = self->phases[phase].first;
        if (first == NULL) continue;
        int64_t left = first->since + phase_lasts(self, (enum phase)phase) - clock_mono();
        if (left < 0) left = 0;
        if (least < 0 || left < least) least = left;
    }
    return least;
}

/* The time of a phase is over. */
static void expire(struct connection *it) {
    struct port *self = it->port;
    switch (it->phase) {
    case PHASE_receiving:
        metric_add(self->metrics.cut_off, 1);
        it->keep_alive = false;
        it->head_only = false;
        it->in_used = 0;
        it->trace = http_trace(self, NULL);
        it->started = it->since;
        it->shown = 0;
        http_problem_plain(it, PROBLEM_timed_out, NULL);
        return;
    case PHASE_waiting:
        metric_add(self->metrics.unanswered, 1);
        log_warn("http", "no answer", LOG_TEXT("route", it->route->name),
                 LOG_HEX("trace", it->trace), LOG_END);
        http_problem_plain(it, PROBLEM_unavailable, "There was no answer; it may have been done.");
        return;
    case PHASE_writing: metric_add(self->metrics.cut_off, 1); break;
    case PHASE_idle:
    case PHASE_lingering:
    case PHASE_COUNT: break;
    }
    http_close(it);
}

static void expire_all(struct port *self) {
    for (unsigned phase = 0; phase < PHASE_COUNT; phase++) {
        int64_t before = self->mono - phase_lasts(self, (enum phase)phase);
        struct connection *it;
        while ((it = self->phases[phase].first) != NULL && it->since <= before)
            expire(it);
    }
}

static void serve_all(struct port *self, struct outbox *out) {
    struct connection *last = self->work_last; /* What is queued meanwhile waits for a turn. */
    uint32_t most = out->count + (self->work_count > CROWD ? CROWD_PORTION : PORTION);
    while (self->work_first != NULL && out->count < most) {
        struct connection *it = self->work_first;
        self->work_first = it->next_work;
        if (self->work_first == NULL) self->work_last = NULL;
        it->queued = false;
        self->work_count--;
        if (!http_serve(it, out) || it == last) return;
    }
}

static void tell_stopped(struct port *self, struct outbox *out) {
    if (!may_tell_stopped(self) || outbox_room(out) == 0) return;
    self->stop_told = true;
    REPLY(out, &self->stop, stopped);
}

static void http_port_step(struct port *self, int64_t now, struct outbox *out) {
    read_clocks(self, now);
    if (!self->waited) event_base_loop(self->base, LOOK);
    self->waited = false;
    expire_all(self);
    if (self->shop.pending) http_accept(self, &self->shop);
    if (self->admin.pending) http_accept(self, &self->admin);
    serve_all(self, out);
    tell_stopped(self, out);
}

/* ---- Waiting ---- */

static void on_other(evutil_socket_t fd, short what, void *context) {
    struct pollfd *other = context;
    (void)fd;
    if (other == NULL) return; /* The alarm. */
    if (what & EV_READ) other->revents |= POLLIN;
    if (what & EV_WRITE) other->revents |= POLLOUT;
}

static void http_port_wait(struct port *self, struct pollfd *others, uint32_t count,
                           int64_t timeout_ns) {
    struct event other[HTTP_OTHERS_MAX];
    struct event alarm;
    int64_t own = http_port_timeout(self, 0);
    assert(count <= HTTP_OTHERS_MAX);
    if (own >= 0 && (timeout_ns < 0 || own < timeout_ns)) timeout_ns = own;
    /* Registered anew each time: a descriptor that was closed and opened again looks the same. */
    for (uint32_t i = 0; i < count; i++) {
        short what = (short)((others[i].events & POLLIN ? EV_READ : 0) |
                             (others[i].events & POLLOUT ? EV_WRITE : 0));
        event_assign(&other[i], self->base, others[i].fd, what, on_other, &others[i]);
        others[i].revents = 0;
        event_add(&other[i], NULL);
    }
    event_assign(&alarm, self->base, -1, 0, on_other, NULL);
    if (timeout_ns > 0) {
        struct timeval after = { .tv_sec = timeout_ns / NS_PER_S,
                                 .tv_usec = timeout_ns % NS_PER_S / 1000 + 1 };
        if (after.tv_usec >= 1000000) after.tv_sec++, after.tv_usec -= 1000000;
        event_add(&alarm, &after);
    }
    event_base_loop(self->base, timeout_ns == 0 ? LOOK : EVLOOP_ONCE);
    event_del(&alarm);
    for (uint32_t i = 0; i < count; i++)
        event_del(&other[i]);
    self->waited = true;
}

uint16_t http_tcp_port(const struct port *self, bool admin) {
    const struct listening *it = admin ? &self->admin : &self->shop;
    return it->fd < 0 ? 0 : it->tcp_port;
}

#define HTTP_PORT(how)                                                                             \
    {                                                                                              \
        .name = "http", .batch_max = CROWD_PORTION, .step_max = CROWD_PORTION, .open = (how),      \
        .close = http_port_close, .ready = http_port_ready, .handle = http_port_handle,            \
        .poll = http_port_poll, .timeout = http_port_timeout, .step = http_port_step,              \
        .reload = http_port_reload, .wait = http_port_wait                                         \
    }

const struct port_type http_port = HTTP_PORT(http_port_open);
const struct port_type http_admin_port = HTTP_PORT(http_admin_port_open);
