#include "tools/doorsim/fetch.h"

#include "broker/clock.h"
#include "schema/timefmt.h"
#include "tools/doorsim/api.h"

#include <stdio.h>

struct fetch {
    struct http_call call;
    const char *authority, *path;
    struct textbuf *body;
    char *etag;
    int status;
};

static void write_call(struct http_call *call, struct textbuf *request) {
    const struct fetch *self = (const struct fetch *)call;
    api_get(request, self->authority, NULL, self->path, NULL);
}

static void on_done(struct http_call *call, enum http_outcome outcome,
                    const struct http_response *response) {
    struct fetch *self = (struct fetch *)call;
    if (outcome != HTTP_answered) return;
    self->status = response->status;
    textbuf_add(self->body, response->body.bytes, response->body.length);
    (void)snprintf(self->etag, HTTP_ETAG_MAX, "%s", response->etag);
}

int fetch(const char *base, const char *path, int64_t timeout_ns, struct textbuf *body) {
    char etag[HTTP_ETAG_MAX];
    return fetch_tagged(base, path, timeout_ns, body, etag);
}

int fetch_tagged(const char *base, const char *path, int64_t timeout_ns, struct textbuf *body,
                 char *etag) {
    struct http_url url;
    struct fetch self = {
        .call = { .write = write_call, .done = on_done }, .path = path, .body = body, .etag = etag
    };
    etag[0] = '\0';
    if (!http_url_read(base, &url)) return 0;
    struct http_loop *loop = http_loop_open();
    if (loop == NULL) return 0;
    struct http_client *client = http_client_open(
        loop, &(struct http_client_options){
                  .host = url.host, .port = url.port, .connections = 1, .timeout_ns = timeout_ns });
    if (client != NULL) {
        self.authority = http_client_authority(client);
        http_client_send(client, &self.call);
        while (http_client_pending(client) > 0) {
            http_loop_turn(loop, clock_mono() + TIMEFMT_NS_PER_S);
        }
    }
    http_client_close(&client);
    http_loop_close(&loop);
    return self.status;
}
