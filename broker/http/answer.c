/* A message that answers a request becomes a reply: which one, routes.def says. */
#include <stdlib.h>
#include <string.h>

#include "broker/http/internal.h"
#include "broker/log.h"

static void odd(struct connection *it, const struct message *in, const char *why) {
    const struct message_type *type = message_type((enum message_id)in->head.type);
    metric_add(it->port->metrics.odd, 1);
    log_error("http", "answer that does not fit its route", LOG_TEXT("why", why),
              LOG_TEXT("route", it->route->name), LOG_TEXT("type", type->name),
              LOG_HEX("trace", it->trace), LOG_END);
    http_problem_plain(it, PROBLEM_internal, NULL);
}

static uint32_t number(const struct message_type *type, const void *body, const char *name) {
    const struct field *field = field_named(type, text_of(name));
    return field != NULL && field->need == CONTEXT ? (uint32_t)field_number(field, body) : 0;
}

/* Fills the template's {members} from the answer. */
static bool make_location(const char *template, const struct message_type *type, const void *body,
                          struct json_out *out) {
    while (*template != 0) {
        if (*template != '{') {
            json_raw(out, template ++, 1);
            continue;
        }
        const char *close = strchr(template, '}');
        struct text name = { template + 1, (uint32_t)(close - template - 1) };
        const struct field *field = field_named(type, name);
        if (field == NULL) return false;
        json_int(out, field_number(field, body));
        template = close + 1;
    }
    json_raw(out, "", 1);
    return !out->full;
}

/* What became of an attempt to buy, when it did not become an order. */
static bool not_an_order(struct connection *it, const struct message *in) {
    if (in->head.type != MSG_order_view || it->route->request != MSG_order_create) return false;
    const struct order_view *view = BODY(in, order_view);
    struct problem_reply what = { .problem = view->code, .retry_after = view->retry_after };
    if (view->state == order_state_refused && view->code != PROBLEM_none) {
        http_problem(it, &what);
        return true;
    }
    if (view->state == order_state_void || view->state == order_state_pending) {
        what.problem = PROBLEM_unavailable;
        http_problem(it, &what);
        return true;
    }
    return false;
}

static void answer_body(struct connection *it, const struct message *in, int status) {
    struct port *self = it->port;
    const struct message_type *type = message_type((enum message_id)in->head.type);
    struct json_out out = { .at = self->scratch, .capacity = HTTP_SCRATCH };
    char location[200];
    struct json_out path = { .at = location, .capacity = sizeof location };
    struct reply reply = { .status = status, .media = "application/json" };
    if (not_an_order(it, in)) return;
    json_write(&out, type, in->body);
    if (out.full) {
        odd(it, in, "too large");
        return;
    }
    const struct route_row *row = route_row_next(it->route->rows, ROW_location);
    if (row != NULL) {
        if (!make_location(row->text, type, in->body, &path)) {
            odd(it, in, "no location");
            return;
        }
        reply.location = location;
    }
    reply.body = (struct text){ out.at, (uint32_t)out.size };
    reply.retry_after = number(type, in->body, "retry_after");
    reply.replayed = number(type, in->body, "replayed") != 0;
    bool undecided = status == 202 || (in->head.type == MSG_order_view &&
                                       BODY(in, order_view)->state == order_state_pending);
    if (undecided && reply.retry_after == 0) reply.retry_after = 1;
    http_reply(it, &reply);
}

static void answer_page(struct connection *it, const struct message *in, int status) {
    const struct page *page = BODY(in, page);
    struct reply reply = { .status = page->body.size > 0 ? status : 304,
                           .media = page->body.size > 0 ? "application/json" : NULL,
                           .body = page->body,
                           .etag = page->etag,
                           .cacheable = true,
                           .max_age = page->max_age };
    if (page->etag.size > 64 || memchr(page->etag.at, '"', page->etag.size) != NULL) {
        odd(it, in, "broken etag");
        return;
    }
    http_reply(it, &reply);
}

/* Appends to the list being collected; false when it would get too long. */
static bool add_to_list(struct connection *it, const char *at, size_t size) {
    if (it->rows_used + size > it->rows_size) {
        size_t larger = it->rows_size == 0 ? 4096 : it->rows_size * 2;
        while (larger < it->rows_used + size)
            larger *= 2;
        if (larger > HTTP_LIST_MAX) return false;
        char *rows = realloc(it->rows, larger);
        if (rows == NULL) return false;
        it->rows = rows;
        it->rows_size = larger;
    }
    memcpy(it->rows + it->rows_used, at, size);
    it->rows_used += size;
    return true;
}

/* {"member":[ */
static bool begin_list(struct connection *it, const char *member) {
    if (it->rows_used > 0) return true;
    return add_to_list(it, "{\"", 2) && add_to_list(it, member, strlen(member)) &&
           add_to_list(it, "\":[", 3);
}

static void answer_row(struct connection *it, const struct message *in,
                       const struct route_row *row) {
    struct json_out out = { .at = it->port->scratch, .capacity = HTTP_SCRATCH };
    if (it->row_count > 0) json_raw(&out, ",", 1);
    json_write(&out, message_type(row->type), in->body);
    if (out.full || !begin_list(it, row->text) || !add_to_list(it, out.at, out.size)) {
        odd(it, in, "list too long");
        return;
    }
    it->row_count++;
}

static void answer_rows_end(struct connection *it, const struct message *in) {
    const struct route_row *row = route_row_next(it->route->rows, ROW_list);
    const struct rows_end *end = BODY(in, rows_end);
    char tail[64];
    struct json_out out = { .at = tail, .capacity = sizeof tail };
    if (row == NULL) {
        odd(it, in, "not a list");
        return;
    }
    json_raw(&out, "]", 1);
    if (end->next > 0) {
        json_raw(&out, ",\"next\":\"", 9);
        json_int(&out, end->next);
        json_raw(&out, "\"", 1);
    }
    json_raw(&out, "}", 1);
    if (!begin_list(it, row->text) || !add_to_list(it, out.at, out.size)) {
        odd(it, in, "list too long");
        return;
    }
    char *rows = it->rows;
    struct reply reply = { .status = row->status,
                           .media = "application/json",
                           .body = { rows, (uint32_t)it->rows_used } };
    it->rows = NULL; /* http_reply forgets the list; the body must outlive that. */
    http_reply(it, &reply);
    free(rows);
}

static void answer_failed(struct connection *it, const struct message *in) {
    const struct failed *failed = BODY(in, failed);
    struct problem_reply what = { .problem = failed->problem,
                                  .field = failed->field,
                                  .detail = failed->detail,
                                  .retry_after = failed->retry_after };
    if (problem_name(failed->problem) == NULL || failed->problem == PROBLEM_none) {
        odd(it, in, "no such problem");
        return;
    }
    http_problem(it, &what);
}

/* The connection that waits for this answer, or NULL. */
static struct connection *waiting_for(struct port *self, uint64_t request) {
    uint32_t index = (uint32_t)request, generation = (uint32_t)(request >> 32);
    if (index >= self->connections_max) return NULL;
    struct connection *it = &self->connections[index];
    if (it->fd < 0 || it->phase != PHASE_waiting || it->generation != generation) return NULL;
    return it;
}

void http_answer(struct port *self, const struct message *in) {
    struct connection *it = waiting_for(self, in->head.request);
    if (it == NULL) {
        metric_add(self->metrics.stale, 1);
        return;
    }
    enum message_id id = (enum message_id)in->head.type;
    const struct route_row *row = route_row_for(it->route, id);
    if (id == MSG_failed) {
        answer_failed(it, in);
    } else if (id == MSG_rows_end) {
        answer_rows_end(it, in);
    } else if (row == NULL) {
        odd(it, in, "not an answer of the route");
    } else if (row->kind == ROW_answer) {
        answer_body(it, in, row->status);
    } else if (row->kind == ROW_raw) {
        answer_page(it, in, row->status);
    } else if (row->kind == ROW_list) {
        answer_row(it, in, row);
    } else {
        struct reply reply = { .status = row->status };
        http_reply(it, &reply);
    }
}
