/* What may change while an actor runs, out of what it was started with. */
#include "actors/actor.h"

struct settings actor_settings(const struct actor_setup *setup) {
    return (struct settings){
        .hold = setup->hold,
        .inflight_max = setup->inflight_max,
        .rate_user = setup->rate_user,
        .rate_user_burst = setup->rate_user_burst,
        .access_life = setup->access_life,
        .refresh_life = setup->refresh_life,
        .session_idle = setup->session_idle,
        .login_failures_max = setup->login_failures_max,
        .ticket_life = setup->ticket_life,
        .ticket_lead = setup->ticket_lead,
        .cancels_max = setup->cancels_max,
        .journal_age_max = setup->journal_age_max,
        .idle_read = setup->idle_read,
        .hint_every = setup->hint_every,
        .hint_life = setup->hint_life,
        .payment_query_every = setup->payment_query_every,
        .mail_attempts_max = setup->mail_attempts_max,
        .reconcile_every = setup->reconcile_every,
    };
}
