#include "broker/values.h"

struct actor_setup actor_values(const struct config *c, const struct seal_keys *keys,
                                uint32_t worker) {
    return (struct actor_setup){
        .worker = worker,
        .shards = (uint8_t)c->shards_count,
        .node = (uint16_t)(worker + 1),
        .keys = keys,
        .hold = c->http_hold,
        .inflight_max = (uint32_t)c->http_inflight_max,
        .rate_user = (uint32_t)c->http_rate_user,
        .rate_user_burst = (uint32_t)c->http_rate_user_burst,
        .access_life = c->session_access_life,
        .refresh_life = c->session_refresh_life,
        .session_idle = c->session_idle,
        .login_failures_max = (uint32_t)c->session_login_failures_max,
        .ticket_life = c->ticket_life,
        .ticket_lead = c->ticket_lead,
        .pay_window = c->sale_pay_window,
        .cancels_max = (uint32_t)c->order_cancels_max,
        .batch_max = (uint32_t)c->order_batch_max,
        .journal_cap = (uint32_t)c->order_journal_cap,
        .journal_age_max = c->order_journal_age_max,
        .idle_read = c->order_idle_read,
        .hint_every = c->inventory_hint_every,
        .hint_life = c->inventory_hint_life,
        .payment_query_every = c->payment_query_every,
        .mail_attempts_max = (uint32_t)c->mail_attempts_max,
        .mail_on = c->mail_smtp_url[0] != 0,
        .reconcile_every = c->catalogue_reconcile_every,
    };
}
