/* Every value that actors get comes from its own setting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "broker/values.h"

static struct config config;

/* Two settings that differ in one key give values that differ, and those of equal ones are equal.
 */
static void each_setting_has_a_value(void **state) {
    (void)state;
    static const char *const words[] = {
        "shards.count=2",
        "http.hold=11s",
        "http.inflight_max=77",
        "http.rate_user=3",
        "http.rate_user_burst=99",
        "session.access_life=17m",
        "session.refresh_life=9d",
        "session.idle=31m",
        "session.login_failures_max=7",
        "ticket.life=7m",
        "ticket.lead=13m",
        "sale.pay_window=19m",
        "order.cancels_max=4",
        "order.batch_max=33",
        "order.journal_cap=444",
        "order.journal_age_max=7s",
        "order.idle_read=333ms",
        "inventory.hint_every=77ms",
        "inventory.hint_life=700ms",
        "payment.query_every=7s",
        "mail.attempts_max=3",
        "mail.smtp_url=smtp://127.0.0.1:9",
        "catalogue.reconcile_every=77s",
    };
    struct config_error error;
    config_defaults(&config);
    struct actor_setup defaults = actor_values(&config, NULL, 6);
    assert_int_equal(defaults.worker, 6);
    assert_int_equal(defaults.node, 7);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const char *sets[] = { words[i] };
        if (!config_load(&config, NULL, sets, 1, &error)) fail_msg("%s", error.text);
        struct actor_setup other = actor_values(&config, NULL, 6);
        if (memcmp(&other, &defaults, sizeof other) == 0) fail_msg("%s gets lost", words[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_setting_has_a_value) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
