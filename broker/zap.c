#include "broker/zap.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "broker/allow.h"
#include "broker/clock.h"
#include "broker/log.h"
#include "broker/metrics.h"

enum { PARTS = 7, PART_SIZE = 256, WAIT_MS = 100 };
enum part { VERSION, REQUEST, DOMAIN, ADDRESS, IDENTITY, MECHANISM, CREDENTIALS };

struct domain {
    const char *name, *allowed;
    bool broken; /* It was reported. */
    struct allow_kept kept;
    struct metric_counter *refused, *accepted;
};

struct zap {
    void *socket;
    pthread_t thread;
    bool started;
    atomic_bool ending;
    uint32_t count;
    struct domain domains[ZAP_DOMAINS_MAX];
};

struct request {
    uint32_t count; /* Parts received, also those too many. */
    uint32_t size[PARTS];
    uint8_t part[PARTS][PART_SIZE];
};

static const struct curve *look_up(struct domain *domain, const char *key) {
    const struct curve *row = allow_find(&domain->kept, domain->allowed, key, clock_mono(),
                                         (int64_t)ZAP_FRESH_MS * 1000000);
    if (!domain->kept.whole && !domain->broken)
        log_error("zap", "allow-list is not whole", LOG_TEXT("domain", domain->name),
                  LOG_TEXT("error", domain->kept.error), LOG_END);
    domain->broken = !domain->kept.whole;
    return row;
}

static struct domain *domain_of(struct zap *self, const struct request *request) {
    for (uint32_t i = 0; i < self->count; i++) {
        const char *name = self->domains[i].name;
        if (request->size[DOMAIN] == strlen(name) &&
            memcmp(request->part[DOMAIN], name, strlen(name)) == 0) {
            return &self->domains[i];
        }
    }
    return NULL;
}

static bool part_is(const struct request *request, enum part part, const char *text) {
    return request->size[part] == strlen(text) &&
           memcmp(request->part[part], text, strlen(text)) == 0;
}

/* ---- One handshake ---- */

static size_t property(uint8_t *to, const char *name, const char *value) {
    size_t name_size = strlen(name), size = strlen(value);
    to[0] = (uint8_t)name_size;
    memcpy(to + 1, name, name_size);
    uint8_t *at = to + 1 + name_size;
    at[0] = at[1] = at[2] = 0; /* Values are shorter than 256 bytes. */
    at[3] = (uint8_t)size;
    memcpy(at + 4, value, size);
    return 1 + name_size + 4 + size;
}

static void answer(struct zap *self, const struct request *request, const struct curve *who) {
    uint8_t metadata[256];
    size_t size = 0;
    if (who != NULL) {
        size += property(metadata, "Role", who->role);
        size += property(metadata + size, "Key", who->public_key);
    }
    const char *code = who != NULL ? "200" : "400", *text = who != NULL ? "OK" : "not allowed";
    const char *name = who != NULL ? who->name : "";
    zmq_send(self->socket, "1.0", 3, ZMQ_SNDMORE);
    zmq_send(self->socket, request->part[REQUEST], request->size[REQUEST], ZMQ_SNDMORE);
    zmq_send(self->socket, code, 3, ZMQ_SNDMORE);
    zmq_send(self->socket, text, strlen(text), ZMQ_SNDMORE);
    zmq_send(self->socket, name, strlen(name), ZMQ_SNDMORE);
    zmq_send(self->socket, metadata, size, 0);
}

static void decide(struct zap *self, const struct request *request) {
    char key[CURVE_KEY_SIZE] = "";
    const struct curve *who = NULL;
    struct domain *domain = domain_of(self, request);
    bool curve = request->count == PARTS && part_is(request, VERSION, "1.0") &&
                 part_is(request, MECHANISM, "CURVE") && request->size[CREDENTIALS] == 32;
    if (domain != NULL && curve) {
        zmq_z85_encode(key, request->part[CREDENTIALS], 32);
        if (!curve_published(key)) who = look_up(domain, key);
    }
    if (domain != NULL) metric_add(who != NULL ? domain->accepted : domain->refused, 1);
    if (who == NULL)
        log_warn("zap", "connection refused",
                 LOG_TEXT("domain", domain != NULL ? domain->name : "unknown"),
                 LOG_TEXT("why", curve ? "key is not allowed" : "no CURVE"), LOG_TEXT("key", key),
                 LOG_END);
    answer(self, request, who);
}

static bool receive(struct zap *self, struct request *request) {
    memset(request, 0, sizeof *request);
    int more = 1;
    while (more) {
        zmq_msg_t part;
        zmq_msg_init(&part);
        if (zmq_msg_recv(&part, self->socket, request->count == 0 ? ZMQ_DONTWAIT : 0) < 0) {
            zmq_msg_close(&part);
            return false;
        }
        size_t size = zmq_msg_size(&part);
        if (request->count < PARTS && size <= PART_SIZE) {
            memcpy(request->part[request->count], zmq_msg_data(&part), size);
            request->size[request->count] = (uint32_t)size;
        }
        request->count++;
        more = zmq_msg_more(&part);
        zmq_msg_close(&part);
    }
    return true;
}

static void *zap_main(void *argument) {
    struct zap *self = argument;
    struct request request;
    while (!atomic_load(&self->ending)) {
        zmq_pollitem_t item = { .socket = self->socket, .events = ZMQ_POLLIN };
        zmq_poll(&item, 1, WAIT_MS);
        while (receive(self, &request))
            decide(self, &request);
    }
    return NULL;
}

/* ---- Life ---- */

static bool open_domain(struct domain *domain, const struct zap_domain *from) {
    char error[400] = "";
    *domain = (struct domain){ .name = from->name, .allowed = from->allowed };
    domain->refused = metrics_counter("curve_refused_total", "Connections refused for their key.",
                                      METRIC_LABELS("domain", from->name));
    domain->accepted = metrics_counter("curve_accepted_total", "Connections with an allowed key.",
                                       METRIC_LABELS("domain", from->name));
    if (allow_read(&domain->kept.list, domain->allowed, error, sizeof error)) return true;
    log_error("zap", "allow-list refused", LOG_TEXT("domain", from->name), LOG_TEXT("error", error),
              LOG_END);
    return false;
}

struct zap *zap_open(void *context, const struct zap_domain *domains, uint32_t count) {
    struct zap *self = calloc(1, sizeof *self);
    int zero = 0;
    if (self == NULL) return NULL;
    if (count > ZAP_DOMAINS_MAX) abort();
    for (uint32_t i = 0; i < count; i++) {
        if (!open_domain(&self->domains[self->count++], &domains[i])) {
            zap_close(self);
            return NULL;
        }
    }
    self->socket = zmq_socket(context, ZMQ_REP);
    if (self->socket == NULL || zmq_setsockopt(self->socket, ZMQ_LINGER, &zero, sizeof zero) != 0 ||
        zmq_bind(self->socket, "inproc://zeromq.zap.01") != 0) {
        log_error("zap", "could not open", LOG_TEXT("error", zmq_strerror(errno)), LOG_END);
        zap_close(self);
        return NULL;
    }
    self->started = pthread_create(&self->thread, NULL, zap_main, self) == 0;
    if (!self->started) abort();
    return self;
}

void zap_close(struct zap *self) {
    if (self == NULL) return;
    atomic_store(&self->ending, true);
    if (self->started) pthread_join(self->thread, NULL);
    if (self->socket != NULL) zmq_close(self->socket);
    free(self);
}
