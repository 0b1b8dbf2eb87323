/* The pay page, and the ledger for whoever judges. */
#include <event2/buffer.h>
#include <inttypes.h>
#include <string.h>

#include "broker/pay/fields.h"
#include "tools/paysim/paysim.h"

static void page(struct evhttp_request *request, int status, const struct payment *payment) {
    struct evbuffer *out = evbuffer_new();

    if (out == NULL) {
        answer(request, 500, problem("internal", "no memory"));
        return;
    }
    /* All texts here are names, numbers and capitals: nothing in them needs escaping. */
    evbuffer_add_printf(out,
                        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
                        "<title>Pay</title><body><h1>Pretend payment</h1>"
                        "<p>Order %s: %" PRId64 ".%02" PRId64 " %s, %s.</p>",
                        payment->order_id, payment->amount / 100, payment->amount % 100,
                        payment->currency, pay_status_name(payment->status));
    if (payment->status == PAY_pending) {
        evbuffer_add_printf(out, "<form method=\"post\">"
                                 "<button name=\"result\" value=\"success\">Pay</button> "
                                 "<button name=\"result\" value=\"fail\">Let it fail</button>"
                                 "</form>");
    }
    evbuffer_add_printf(out, "</body></html>\n");
    (void)evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type",
                            "text/html; charset=utf-8");
    evhttp_send_reply(request, status, NULL, out);
    evbuffer_free(out);
}

/* What the shopper wants: from the page's form or as JSON.  False: it has been answered. */
static bool read_result(struct evhttp_request *request, bool form, enum pay_status *out) {
    struct evbuffer *input = evhttp_request_get_input_buffer(request);
    char text[16] = "";

    if (form) {
        ev_ssize_t size = evbuffer_copyout(input, text, sizeof text - 1);
        const char *value = size <= 0 ? NULL : path_after(text, "result=");
        if (value == NULL) value = "";
        memmove(text, value, strlen(value) + 1);
    } else {
        json_t *object = body_object(request);
        if (object == NULL) return false;
        (void)fields_text(object, "result", text, sizeof text);
        json_decref(object);
    }
    *out = strcmp(text, "fail") == 0 ? PAY_failed : PAY_succeeded;
    if (strcmp(text, "success") == 0 || strcmp(text, "fail") == 0) return true;
    answer(request, 400, problem("bad_request", "result is success or fail"));
    return false;
}

void shopper_request(struct paysim *self, struct evhttp_request *request, const char *txn) {
    struct payment *payment = books_by_txn(self->books, txn);
    const char *type =
        evhttp_find_header(evhttp_request_get_input_headers(request), "Content-Type");
    bool form = type != NULL && path_after(type, "application/x-www-form-urlencoded") != NULL;
    enum pay_status wanted = PAY_pending;
    int64_t seconds = paysim_seconds();

    if (payment == NULL) {
        answer(request, 404, problem("no_such_payment", "there is no payment of this number"));
        return;
    }
    (void)payment_status(payment, seconds);
    if (evhttp_request_get_command(request) == EVHTTP_REQ_GET) {
        page(request, 200, payment);
        return;
    }
    if (!read_result(request, form, &wanted)) return;
    /* A second click on the same button changes nothing and is told the same. */
    if (payment_decide(payment, wanted, seconds)) callbacks_tell(self->callbacks, payment);
    bool agreed = payment->status == wanted;
    if (form) {
        page(request, agreed ? 200 : 409, payment);
    } else if (agreed) {
        answer(request, 200,
               json_pack("{ss ss ss}", "payment_id", payment->payment_id, "provider_txn",
                         payment->provider_txn, "status", pay_status_name(payment->status)));
    } else {
        json_t *body = problem("already_decided", "the payment can no longer be paid this way");
        json_object_set_new(body, "status", json_string(pay_status_name(payment->status)));
        answer(request, 409, body);
    }
}

/* Written as it goes, not as a tree first: the books may be long. */
void ledger_request(struct paysim *self, struct evhttp_request *request) {
    struct evbuffer *out = evbuffer_new();
    int64_t seconds = paysim_seconds();
    int64_t captured = 0;
    int64_t returned = 0;

    if (out == NULL) {
        answer(request, 500, problem("internal", "no memory"));
        return;
    }
    evbuffer_add_printf(out, "{\"payments\":[");
    for (uint32_t i = 0; i < books_payment_count(self->books); i++) {
        struct payment *payment = books_payment(self->books, i);
        enum pay_status status = payment_status(payment, seconds);
        if (status == PAY_succeeded) captured += payment->amount;
        evbuffer_add_printf(
            out,
            "%s\n{\"payment_id\":\"%s\",\"order_id\":\"%s\",\"provider_txn\":\"%s\","
            "\"event_id\":\"%s\",\"status\":\"%s\",\"amount\":%" PRId64 ",\"currency\":\"%s\","
            "\"refunded\":%" PRId64 ",\"created_at\":%" PRId64 ",\"decided_at\":%" PRId64
            ",\"callbacks_sent\":%" PRIu32 ",\"callbacks_acknowledged\":%" PRIu32 "}",
            i == 0 ? "" : ",", payment->payment_id, payment->order_id, payment->provider_txn,
            payment->event_id, pay_status_name(status), payment->amount, payment->currency,
            payment->refunded, payment->created_at, payment->decided_at, payment->callbacks_sent,
            payment->callbacks_acknowledged);
    }
    evbuffer_add_printf(out, "],\"refunds\":[");
    for (uint32_t i = 0; i < books_refund_count(self->books); i++) {
        const struct refund *refund = books_refund_at(self->books, i);
        if (!refund->failed) returned += refund->amount;
        evbuffer_add_printf(out,
                            "%s\n{\"refund_id\":\"%s\",\"payment_id\":\"%s\",\"status\":\"%s\","
                            "\"amount\":%" PRId64 ",\"currency\":\"%s\"}",
                            i == 0 ? "" : ",", refund->refund_id, refund->payment->payment_id,
                            refund->failed ? "failed" : "succeeded", refund->amount,
                            refund->payment->currency);
    }
    evbuffer_add_printf(out,
                        "],\"captured\":%" PRId64 ",\"refunded\":%" PRId64
                        ",\"callbacks_waiting\":%" PRIu32 ",\"callbacks_dropped\":%" PRIu64
                        ",\"callbacks_given_up\":%" PRIu64 "}\n",
                        captured, returned, callbacks_waiting(self->callbacks),
                        callbacks_dropped(self->callbacks), callbacks_given_up(self->callbacks));
    (void)evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type",
                            "application/json");
    evhttp_send_reply(request, 200, NULL, out);
    evbuffer_free(out);
}
