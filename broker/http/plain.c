/* What the port answers without asking anybody. */
#include <stdlib.h>
#include <string.h>

#include "broker/assets.h"
#include "broker/http/internal.h"
#include "broker/process.h"
#include "broker/ready.h"

static void answer(struct connection *it, enum plain which, struct text body) {
    struct reply reply = { .status = 200, .media = plain_list()[which].media, .body = body };
    http_reply(it, &reply);
}

static void readyz(struct connection *it) {
    const char *missing = it->port->stopping ? "http" : ready_missing();
    char detail[128];
    if (missing == NULL) {
        answer(it, PLAIN_readyz, text_of("{\"ready\":true}\n"));
        return;
    }
    snprintf(detail, sizeof detail, "%s is not ready", missing);
    http_problem_plain(it, it->port->stopping ? PROBLEM_stopping : PROBLEM_unavailable, detail);
}

static void metrics(struct connection *it) {
    enum { OF_PROCESS = 4096 };
    size_t size = 64 * 1024, need;
    char *text = malloc(size + OF_PROCESS);
    while (text != NULL && (need = metrics_write(text, size)) >= size) {
        free(text);
        size = need + 1024;
        text = malloc(size + OF_PROCESS);
    }
    if (text == NULL) {
        http_problem_plain(it, PROBLEM_internal, NULL);
        return;
    }
    process_metrics_write(text + need, OF_PROCESS);
    answer(it, PLAIN_metrics, text_of(text));
    free(text);
}

static void openapi(struct connection *it) {
    const struct asset *asset = asset_find("docs/openapi.json");
    if (asset == NULL) {
        http_problem_plain(it, PROBLEM_not_found, NULL);
        return;
    }
    answer(it, PLAIN_openapi, (struct text){ (const char *)asset->data, (uint32_t)asset->size });
}

void http_plain(struct connection *it, enum plain which) {
    struct reply nothing = { .status = 204 };
    switch (which) {
    case PLAIN_healthz: answer(it, which, text_of("{\"alive\":true}\n")); return;
    case PLAIN_readyz: readyz(it); return;
    case PLAIN_metrics: metrics(it); return;
    case PLAIN_openapi: openapi(it); return;
    case PLAIN_nothing:
    case PLAIN_COUNT: break;
    }
    http_reply(it, &nothing);
}
