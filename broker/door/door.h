/* The operators' door: a ZeroMQ ROUTER that only lets keys of the allow-list in (broker/zap.h).  A
 * request is one frame (broker/frame.h), every message of its answer another one.
 *
 * What a key may do is looked up at every request, so that a key that was taken away, or has
 * another role now, counts at once.  A command that is written to the record goes this way:
 *
 *     request -> [RECORDING: audit_begin] -> [CARRIED: the actor] -> [CLOSING: audit_end] -> answer
 *
 * No row, no command.  A request without an answer after ANSWER_MAX is answered unavailable. */
#ifndef DOOR_DOOR_H
#define DOOR_DOOR_H

#include "broker/allow.h"
#include "broker/batch.h"
#include "broker/door/commands.h"
#include "broker/metrics.h"
#include "broker/port.h"

enum {
    DOOR_REQUESTS_MAX = 1024,
    DOOR_IDENTITY_MAX = 255,
    DOOR_REQUEST_MAX = 65536,
    DOOR_ROWS_MAX = 20000
};

enum door_stage { DOOR_free, DOOR_recording, DOOR_carried, DOOR_closing };

/* The person at the other end. */
struct door_client {
    enum role role;
    char who[CURVE_NAME_SIZE];
    uint32_t identity_size;
    uint8_t identity[DOOR_IDENTITY_MAX];
};

struct door_request {
    enum door_stage stage;
    uint32_t generation;
    int64_t since;
    const struct door_command *command;
    struct door_client client;
    int64_t audit_id, thing; /* thing: number of what it is about; 0 = not known. */
    uint64_t trace;
    struct batch kept; /* The request; once it is answered, the end of the answer. */
};

struct port {
    void *context;
    void *router;
    struct zap *zap;
    const char *operators; /* The allow-list. */
    uint32_t shards;
    struct allow_kept allowed;
    int64_t swept_at;
    uint64_t traces;
    struct metric_counter *refused, *forbidden, *commands;
    struct batch incoming; /* Requests of this step: their texts are sent on when it returns. */
    struct batch letter;   /* A dead letter on its way back to its actor. */
    struct door_request requests[DOOR_REQUESTS_MAX];
};

/* One message to a client; counted when it cannot be delivered (he has gone, or does not read). */
void door_send(struct port *self, const struct door_client *client, const struct message *message);
void door_refuse(struct port *self, const struct door_client *client, enum problem problem,
                 const char *field, const char *detail);

/* A frame, whatever is in it, from a client whose role is known. */
void door_take(struct port *self, const struct door_client *client, const uint8_t *bytes,
               size_t size, int64_t now, struct outbox *out);
/* A valid command of a client who may give it. */
void door_begin(struct port *self, const struct door_client *client,
                const struct door_command *command, const struct message *message, int64_t now,
                struct outbox *out);
/* An answer that belongs to a request. */
void door_go_on(struct port *self, struct door_request *request, const struct message *in,
                int64_t now, struct outbox *out);
/* Answers what nobody has answered in time. */
void door_sweep(struct port *self, int64_t now, struct outbox *out);

/* A dead letter is shown in words, or (retry) goes to its actor again; its bytes never leave. */
void door_letter(struct port *self, const struct door_request *request, const struct message *in,
                 struct outbox *out);

/* The figures of /metrics as rows; histograms as sum and count, and with their buckets if wanted.
 */
void door_status(struct port *self, const struct door_client *client, bool buckets);

#endif
