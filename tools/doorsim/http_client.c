#include "tools/doorsim/http_client.h"

#include "broker/clock.h"
#include "schema/timefmt.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 512,
    READ_MAX = 64 << 10,
    REQUEST_MAX = 64 << 10,
    SWEEP_NS = 20 * 1000 * 1000, /* How exact timeouts are. */
};

enum connection_state {
    CONNECTION_closed,
    CONNECTION_connecting,
    CONNECTION_idle,
    CONNECTION_busy
};

struct connection {
    struct http_client *client;
    enum connection_state state;
    int fd;
    struct http_call *call; /* While connecting and busy. */
    int64_t deadline;
    int64_t rest_until; /* While closed. */
    struct textbuf request;
    size_t request_sent;
    struct http_parser parser;
    struct connection *next_free; /* While idle or closed: in one of the client's two stacks. */
};

struct http_client {
    struct http_loop *loop;
    struct http_client *next;
    struct sockaddr_storage address;
    socklen_t address_length;
    char authority[300];
    int64_t timeout_ns;
    int64_t retry_connect_ns;
    int64_t next_sweep;
    unsigned connection_count;
    unsigned pending;
    uint32_t source_first;
    unsigned source_count;
    struct connection *connections;
    struct connection *idle;
    struct connection **idle_last;
    bool in_turns;
    struct connection *closed;
    struct http_call *first;
    struct http_call **last;
};

struct http_loop {
    int epoll;
    struct http_client *clients;
    char bytes[READ_MAX];
};

struct http_loop *http_loop_open(void) {
    struct http_loop *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll < 0) {
        free(self);
        return NULL;
    }
    return self;
}

void http_loop_close(struct http_loop **self) {
    if (*self == NULL) return;
    assert((*self)->clients == NULL);
    close((*self)->epoll);
    free(*self);
    *self = NULL;
}

static void finish(struct connection *connection, enum http_outcome outcome) {
    struct http_call *call = connection->call;
    connection->call = NULL;
    connection->client->pending--;
    call->done_at = clock_mono();
    call->done(call, outcome, outcome == HTTP_answered ? &connection->parser.response : NULL);
}

static void push_free(struct connection **stack, struct connection *connection) {
    connection->next_free = *stack;
    *stack = connection;
}

static void push_idle(struct http_client *client, struct connection *connection) {
    connection->state = CONNECTION_idle;
    if (client->idle == NULL) client->idle_last = &connection->next_free;
    if (client->idle == NULL || !client->in_turns) {
        push_free(&client->idle, connection);
        return;
    }
    connection->next_free = NULL;
    *client->idle_last = connection;
    client->idle_last = &connection->next_free;
}

static void remove_idle(struct http_client *client, const struct connection *connection) {
    struct connection **at = &client->idle, *before = NULL;
    while (*at != NULL && *at != connection) {
        before = *at;
        at = &(*at)->next_free;
    }
    if (*at == NULL) return;
    *at = connection->next_free;
    if (*at == NULL) client->idle_last = before != NULL ? &before->next_free : &client->idle;
}

/* Closes the socket; the call, if any, is finished with `outcome`. */
static void drop(struct connection *connection, enum http_outcome outcome) {
    struct http_client *client = connection->client;
    if (connection->state == CONNECTION_idle) remove_idle(client, connection);
    if (connection->fd >= 0) close(connection->fd);
    connection->fd = -1;
    connection->state = CONNECTION_closed;
    connection->rest_until = 0;
    if (outcome == HTTP_unsent) connection->rest_until = clock_mono() + client->retry_connect_ns;
    push_free(&client->closed, connection);
    if (connection->call != NULL) finish(connection, outcome);
}

/* Writes what the socket takes.  False when the connection is gone. */
static bool push_request(struct connection *connection) {
    while (connection->request_sent < connection->request.length) {
        ssize_t sent = send(connection->fd, connection->request.bytes + connection->request_sent,
                            connection->request.length - connection->request_sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
        connection->request_sent += (size_t)sent;
    }
    return true;
}

static void begin_request(struct connection *connection) {
    struct http_call *call = connection->call;
    connection->state = CONNECTION_busy;
    http_parser_reset(&connection->parser);
    textbuf_clear(&connection->request);
    connection->request_sent = 0;
    call->write(call, &connection->request);
    assert(!connection->request.full && connection->request.length > 0);
    call->sent_at = clock_mono();
    if (!push_request(connection)) drop(connection, HTTP_lost);
}

static void on_connected(struct connection *connection) {
    if (connection->call != NULL)
        begin_request(connection);
    else
        push_idle(connection->client, connection);
}

/* Binds to the connection's own source address.  The port is chosen when connecting: it only has to
 * be free towards this server. */
static bool bind_source(const struct connection *connection) {
    const struct http_client *client = connection->client;
    if (client->source_count == 0 || client->address.ss_family != AF_INET) return true;
    uint32_t index = (uint32_t)(connection - client->connections) % client->source_count;
    struct sockaddr_in source = { .sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(client->source_first + index) };
    int one = 1;
    setsockopt(connection->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    return bind(connection->fd, (const struct sockaddr *)&source, sizeof source) == 0;
}

static void begin_connect(struct connection *connection) {
    struct http_client *client = connection->client;
    connection->state = CONNECTION_connecting;
    connection->fd =
        socket(client->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 || !bind_source(connection)) {
        drop(connection, HTTP_unsent);
        return;
    }
    int one = 1;
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                 .data.ptr = connection };
    int failed =
        connect(connection->fd, (const struct sockaddr *)&client->address, client->address_length);
    if ((failed != 0 && errno != EINPROGRESS) ||
        epoll_ctl(client->loop->epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0) {
        drop(connection, HTTP_unsent);
        return;
    }
    if (failed == 0) on_connected(connection);
}

static struct http_call *pop_call(struct http_client *client) {
    struct http_call *call = client->first;
    client->first = call->next;
    if (client->first == NULL) client->last = &client->first;
    call->next = NULL;
    return call;
}

/* A closed connection whose rest is over, or NULL. */
static struct connection *pop_closed(struct http_client *client, int64_t now) {
    for (struct connection **at = &client->closed; *at != NULL; at = &(*at)->next_free) {
        struct connection *connection = *at;
        if (connection->rest_until > now) continue;
        *at = connection->next_free;
        return connection;
    }
    return NULL;
}

/* Gives waiting calls to free connections.  Calls that fail at once may bring new ones; those wait
 * for the next turn, because a failed connection rests. */
static void start_waiting(struct http_client *client, int64_t now) {
    while (client->first != NULL) {
        struct connection *connection = client->idle;
        bool is_idle = connection != NULL;
        if (is_idle)
            client->idle = connection->next_free;
        else
            connection = pop_closed(client, now);
        if (connection == NULL) return;
        connection->call = pop_call(client);
        int64_t patience = connection->call->timeout_ns;
        connection->deadline = now + (patience > 0 ? patience : client->timeout_ns);
        if (is_idle)
            begin_request(connection);
        else
            begin_connect(connection);
    }
}

static void on_answer(struct connection *connection) {
    if (connection->parser.response.close ||
        connection->request_sent < connection->request.length) {
        /* Answered before it was read to the end, or for the last time. */
        struct http_client *client = connection->client;
        close(connection->fd);
        connection->fd = -1;
        connection->state = CONNECTION_closed;
        connection->rest_until = 0;
        push_free(&client->closed, connection);
    } else {
        push_idle(connection->client, connection);
    }
    finish(connection, HTTP_answered);
}

/* The peer has closed or the connection is broken. */
static void on_end(struct connection *connection) {
    if (connection->state == CONNECTION_busy &&
        http_parser_end(&connection->parser) == HTTP_PARSE_done) {
        on_answer(connection);
        return;
    }
    drop(connection, connection->state == CONNECTION_connecting ? HTTP_unsent : HTTP_lost);
}

/* Reads what is there.  A short read has emptied the socket and what comes later raises a new edge,
 * except for an end that was announced together with the bytes: then `to_end` reads up to it. */
static void on_readable(struct http_loop *loop, struct connection *connection, bool to_end) {
    while (connection->state == CONNECTION_busy || connection->state == CONNECTION_idle) {
        ssize_t got = recv(connection->fd, loop->bytes, sizeof loop->bytes, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (got <= 0) {
            on_end(connection);
            return;
        }
        size_t used = 0;
        enum http_parse parse = HTTP_PARSE_bad; /* An answer nobody asked for. */
        if (connection->state == CONNECTION_busy) {
            parse = http_parser_feed(&connection->parser, loop->bytes, (size_t)got, &used);
        }
        if (parse == HTTP_PARSE_bad || (parse == HTTP_PARSE_done && used < (size_t)got)) {
            drop(connection, HTTP_lost);
            return;
        }
        if (parse == HTTP_PARSE_done) on_answer(connection);
        if ((size_t)got < sizeof loop->bytes && !to_end) return;
    }
}

static void on_event(struct http_loop *loop, struct connection *connection, uint32_t events) {
    if (connection->state == CONNECTION_closed) return;
    if (connection->state == CONNECTION_connecting) {
        int error = 0;
        socklen_t size = sizeof error;
        if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0) return;
        if (getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
            drop(connection, HTTP_unsent);
            return;
        }
        on_connected(connection);
    } else if ((events & EPOLLOUT) != 0 && connection->state == CONNECTION_busy) {
        if (!push_request(connection)) {
            drop(connection, HTTP_lost);
            return;
        }
    }
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        on_readable(loop, connection, (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
    }
}

static void sweep(struct http_client *client, int64_t now) {
    if (now < client->next_sweep) return;
    client->next_sweep = now + SWEEP_NS;
    for (unsigned i = 0; i < client->connection_count; i++) {
        struct connection *connection = &client->connections[i];
        bool waits = connection->call != NULL || connection->state == CONNECTION_connecting;
        if (!waits || connection->deadline > now) continue;
        drop(connection, connection->state == CONNECTION_connecting ? HTTP_unsent : HTTP_timeout);
    }
}

/* How long to wait: until something may have to be looked at that is no event. */
static struct timespec wait_ns(const struct http_loop *self, int64_t now, int64_t until_ns) {
    int64_t wait = until_ns - now;
    for (const struct http_client *client = self->clients; client != NULL; client = client->next) {
        int64_t most = client->first != NULL ? TIMEFMT_NS_PER_MS : SWEEP_NS;
        if (client->pending > 0 && wait > most) wait = most;
    }
    if (wait < 0) wait = 0;
    if (wait > TIMEFMT_NS_PER_S) wait = TIMEFMT_NS_PER_S;
    return (struct timespec){ wait / TIMEFMT_NS_PER_S, wait % TIMEFMT_NS_PER_S };
}

void http_loop_turn(struct http_loop *self, int64_t until_ns) {
    struct epoll_event events[EVENTS_MAX];
    int64_t now = clock_mono();
    for (struct http_client *client = self->clients; client != NULL; client = client->next) {
        start_waiting(client, now);
    }
    struct timespec wait = wait_ns(self, now, until_ns);
    int count = epoll_pwait2(self->epoll, events, EVENTS_MAX, &wait, NULL);
    for (int i = 0; i < count; i++) {
        on_event(self, events[i].data.ptr, events[i].events);
    }
    now = clock_mono();
    for (struct http_client *client = self->clients; client != NULL; client = client->next) {
        sweep(client, now);
        start_waiting(client, now);
    }
}

static bool read_address(struct http_client *self, const struct http_client_options *options) {
    const char *host = strcmp(options->host, "localhost") == 0 ? "127.0.0.1" : options->host;
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(options->port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(options->port) };
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        memcpy(&self->address, &v4, sizeof v4);
        self->address_length = sizeof v4;
    } else if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        memcpy(&self->address, &v6, sizeof v6);
        self->address_length = sizeof v6;
    } else {
        return false;
    }
    int size = snprintf(self->authority, sizeof self->authority, "%s:%u", options->host,
                        (unsigned)options->port);
    return size > 0 && (size_t)size < sizeof self->authority;
}

struct http_client *http_client_open(struct http_loop *loop,
                                     const struct http_client_options *options) {
    struct http_client *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    self->connections = calloc(options->connections, sizeof *self->connections);
    if (self->connections == NULL || !read_address(self, options)) {
        free(self->connections);
        free(self);
        return NULL;
    }
    self->loop = loop;
    self->timeout_ns = options->timeout_ns > 0 ? options->timeout_ns : 10 * TIMEFMT_NS_PER_S;
    self->retry_connect_ns =
        options->retry_connect_ns > 0 ? options->retry_connect_ns : 50 * TIMEFMT_NS_PER_MS;
    self->connection_count = options->connections;
    self->in_turns = options->in_turns;
    self->source_first = options->source_first;
    self->source_count = options->source_count;
    self->last = &self->first;
    for (unsigned i = options->connections; i > 0; i--) {
        struct connection *connection = &self->connections[i - 1];
        connection->client = self;
        connection->fd = -1;
        textbuf_init(&connection->request, REQUEST_MAX);
        http_parser_init(&connection->parser);
        push_free(&self->closed, connection);
    }
    self->next = loop->clients;
    loop->clients = self;
    return self;
}

void http_client_close(struct http_client **self_at) {
    struct http_client *self = *self_at;
    if (self == NULL) return;
    *self_at = NULL;
    struct http_client **at = &self->loop->clients;
    while (*at != self) {
        at = &(*at)->next;
    }
    *at = self->next;
    for (unsigned i = 0; i < self->connection_count; i++) {
        struct connection *connection = &self->connections[i];
        if (connection->fd >= 0) drop(connection, HTTP_lost);
        textbuf_fini(&connection->request);
        http_parser_fini(&connection->parser);
    }
    while (self->first != NULL) {
        struct http_call *call = pop_call(self);
        call->done_at = clock_mono();
        call->done(call, HTTP_unsent, NULL);
    }
    free(self->connections);
    free(self);
}

unsigned http_client_warm(struct http_client *self, unsigned most) {
    int64_t now = clock_mono();
    unsigned missing = 0, begun = 0;
    for (unsigned i = 0; i < self->connection_count; i++) {
        missing += self->connections[i].state <= CONNECTION_connecting;
        begun += self->connections[i].state == CONNECTION_connecting;
    }
    while (begun++ < most) {
        struct connection *connection = pop_closed(self, now);
        if (connection == NULL) break;
        connection->deadline = now + self->timeout_ns;
        begin_connect(connection);
    }
    return missing;
}

void http_client_send(struct http_client *self, struct http_call *call) {
    if (call->wanted_at == 0) call->wanted_at = clock_mono();
    call->sent_at = 0;
    call->next = NULL;
    *self->last = call;
    self->last = &call->next;
    self->pending++;
}

unsigned http_client_pending(const struct http_client *self) {
    return self->pending;
}

const char *http_client_authority(const struct http_client *self) {
    return self->authority;
}
