/* The directory: numbers, incumbents, who takes over, a broker that starts anew, operators. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "actors/broker/broker.h"
#include "schema/protocol.h"
#include "tests/lib/actor_probe.h"

static struct probe probe;

static const char *const core_hosts =
    "inventory/0@0 order/0@0 timer/0@0 inventory/1@1 order/1@1 timer/1@1 http@2 member@2";
static const char *const shop_hosts = "session@0 catalogue@0 payment@0 notifier@0 http@0 member@0";

static int setup(void **state) {
    struct actor_setup setup = probe_setup();
    (void)state;
    setup.shards = 2;
    setup.node = 1;
    probe_open(&probe, &broker_type, &setup);
    return 0;
}
static int teardown(void **state) {
    (void)state;
    probe_close(&probe);
    return 0;
}

/* Says hello in the name of a node; peer is its connection. */
static void hello_with(const char *name, int64_t run, uint32_t node, const char *hosts,
                       uint64_t peer, int64_t placement, int64_t owned_shards) {
    struct node_hello body = { .name = text_of(name),
                               .run = run,
                               .protocol_min = 1,
                               .protocol_max = 1,
                               .node = node,
                               .hosts = text_of(hosts),
                               .endpoints = text_of("ipc://a ipc://b ipc://c"),
                               .placement = placement,
                               .owned_shards = owned_shards };
    probe.head.request = peer;
    probe_give(&probe, PORT_directory, &body, MSG_node_hello);
}
static void hello(const char *name, int64_t run, uint32_t node, const char *hosts, uint64_t peer) {
    hello_with(name, run, node, hosts, peer, 0, 0);
}

static void beat(int64_t run, uint64_t peer, int64_t placement) {
    struct node_beat body = { .run = run, .placement = placement };
    probe.head.request = peer;
    probe_give(&probe, PORT_directory, &body, MSG_node_beat);
}

/* Seconds pass in which these runs beat. */
static void pass(uint32_t seconds, const int64_t *runs, uint32_t count) {
    for (uint32_t second = 0; second < seconds; second++) {
        for (uint32_t i = 0; i < count; i++)
            beat(runs[i], 100 + i, 1000000);
        probe_pass(&probe, BROKER_SECOND);
    }
}

static const struct node_map *last_map(void) {
    return PROBE_SENT(&probe, PORT_directory, node_map, -1);
}
static bool seat(const char *word) {
    struct text seats = last_map()->seats;
    size_t size = strlen(word);
    for (uint32_t i = 0; i + size <= seats.size; i++) {
        bool starts = i == 0 || seats.at[i - 1] == ' ';
        bool ends = i + size == seats.size || seats.at[i + size] == ' ';
        if (starts && ends && memcmp(seats.at + i, word, size) == 0) return true;
    }
    return false;
}
static bool event(const char *what, const char *node) {
    for (uint32_t i = 0; i < probe_count(&probe, PORT_member, MSG_node_event); i++) {
        const struct node_event *got = PROBE_SENT(&probe, PORT_member, node_event, (int)i);
        if (text_is(got->event, what) && text_is(got->name, node)) return true;
    }
    return false;
}

static void number_is_leased_then_all_are_told(void **state) {
    (void)state;
    hello("core", 50, 0, "", 7);
    const struct message *lease = probe_message(&probe, PORT_pg_shop, MSG_worker_lease, 0);
    assert_int_equal(BODY(lease, worker_lease)->worker, -1);
    struct worker_leased leased = { .worker = 4 };
    probe_answer(&probe, lease, &leased, MSG_worker_leased);
    const struct message *welcome = probe_message(&probe, PORT_directory, MSG_node_welcome, 0);
    assert_int_equal(BODY(welcome, node_welcome)->node, 5);
    assert_int_equal(welcome->head.request, 7); /* To its connection. */
    hello("core", 50, 5, core_hosts, 7);
    assert_true(event("joined", "core"));
    pass(4, (int64_t[]){ 50 }, 1);
    assert_true(seat("order/0@5.0") && seat("inventory/1@5.1"));
    assert_int_equal(last_map()->nodes, 1);
    assert_int_equal(probe_message(&probe, PORT_directory, MSG_node_map, -1)->head.request, 0);
    assert_int_equal(probe_count(&probe, PORT_pg_shop, MSG_worker_lease), 1);
    pass(600, (int64_t[]){ 50 }, 1);
    assert_int_equal(probe_count(&probe, PORT_pg_shop, MSG_worker_lease), 2); /* Kept leased. */
    assert_int_equal(PROBE_SENT(&probe, PORT_pg_shop, worker_lease, 1)->worker, 4);
    assert_true(text_equal(PROBE_SENT(&probe, PORT_pg_shop, worker_lease, 1)->holder,
                           BODY(lease, worker_lease)->holder));
}

static void listens_before_it_publishes(void **state) {
    (void)state;
    hello_with("b", 60, 6, core_hosts, 8, 41, 2);
    hello_with("a", 50, 5, core_hosts, 7, 41, 1);
    pass(2, (int64_t[]){ 60, 50 }, 2);
    /* Whoever asks is told nothing new, and nobody is told a map by the broker itself. */
    assert_int_equal(probe_count(&probe, PORT_directory, MSG_worker_lease), 0);
    probe_clear(&probe);
    pass(2, (int64_t[]){ 60, 50 }, 2);
    assert_int_equal(last_map()->number, 42);                /* Later than any they have. */
    assert_true(seat("order/0@5.0") && seat("order/1@6.1")); /* As it was. */
}

static void incumbent_stays_and_the_spare_takes_over(void **state) {
    (void)state;
    hello("a", 50, 5, core_hosts, 7);
    pass(4, (int64_t[]){ 50 }, 1);
    hello("b", 40, 6, core_hosts, 8);
    hello("shop", 45, 7, shop_hosts, 9);
    pass(2, (int64_t[]){ 50, 40, 45 }, 3);
    assert_true(seat("order/0@5.0") && seat("order/1@5.1") && seat("catalogue@7.0"));
    assert_true(event("spare", "b"));
    assert_false(event("spare", "a"));
    probe_clear(&probe);
    pass(2, (int64_t[]){ 40, 45 }, 2); /* Silent, but not for long enough. */
    beat(50, 7, 1000000);
    pass(2, (int64_t[]){ 40, 45 }, 2);
    assert_false(event("gone", "a"));
    pass(3, (int64_t[]){ 40, 45 }, 2);
    assert_true(event("gone", "a"));
    assert_true(seat("order/0@6.0") && seat("order/1@6.1") && seat("catalogue@7.0"));
    hello("a", 70, 8, core_hosts, 10); /* It comes back: the one that has it keeps it. */
    pass(1, (int64_t[]){ 40, 45, 70 }, 3);
    assert_true(seat("order/0@6.0"));
}

static void load_is_spread(void **state) {
    (void)state;
    hello("a", 50, 5, core_hosts, 7);
    hello("b", 40, 6, core_hosts, 8);
    pass(4, (int64_t[]){ 50, 40 }, 2);
    assert_true(seat("order/0@6.0") && seat("order/1@5.1"));
}

static void later_run_of_a_name_replaces_the_earlier(void **state) {
    (void)state;
    hello("a", 50, 5, core_hosts, 7);
    pass(4, (int64_t[]){ 50 }, 1);
    hello("a", 60, 6, core_hosts, 8);
    assert_true(event("replaced", "a"));
    assert_true(seat("order/0@6.0"));
    assert_int_equal(last_map()->nodes, 1);
    probe_clear(&probe);
    hello("a", 50, 5, core_hosts, 7);
    assert_int_equal(PROBE_SENT(&probe, PORT_directory, failed, 0)->problem, PROBLEM_duplicate);
    assert_int_equal(probe_count(&probe, PORT_directory, MSG_node_welcome), 0);
    beat(50, 7, 1);
    assert_int_equal(probe_count(&probe, PORT_directory, MSG_node_unknown), 1);
    hello("c", 70, 6, core_hosts, 9); /* A number that somebody has. */
    assert_int_equal(probe_count(&probe, PORT_directory, MSG_failed), 2);
}

static void hello_of_protocols(const char *name, uint32_t oldest, uint32_t newest) {
    struct node_hello body = {
        .name = text_of(name), .run = 90, .protocol_min = oldest, .protocol_max = newest
    };
    probe.head.request = 7;
    probe_give(&probe, PORT_directory, &body, MSG_node_hello);
}

static void without_a_common_protocol_nobody_joins(void **state) {
    (void)state;
    hello_of_protocols("later", PROTOCOL_NEWEST + 1, PROTOCOL_NEWEST + 2);
    const struct failed *failed = PROBE_SENT(&probe, PORT_directory, failed, 0);
    assert_int_equal(failed->problem, PROBLEM_out_of_range);
    assert_memory_equal(failed->detail.at, "its program is too new: ", 24);
    assert_true(event("refused", "later"));
    assert_int_equal(probe_count(&probe, PORT_pg_shop, MSG_worker_lease), 0);
    hello_of_protocols("later", PROTOCOL_NEWEST, PROTOCOL_NEWEST + 2);
    assert_int_equal(probe_count(&probe, PORT_pg_shop, MSG_worker_lease), 1);
}

static void old_maps_and_unknown_nodes_are_answered(void **state) {
    (void)state;
    hello("a", 50, 5, core_hosts, 7);
    pass(4, (int64_t[]){ 50 }, 1);
    int64_t number = last_map()->number;
    probe_clear(&probe);
    beat(50, 7, number);
    assert_int_equal(probe_count(&probe, PORT_directory, MSG_node_map), 0);
    beat(50, 12, number - 1); /* Its connection is another one now. */
    assert_int_equal(last_map()->number, number);
    assert_int_equal(probe_message(&probe, PORT_directory, MSG_node_map, 0)->head.request, 12);
    beat(99, 13, number);
    assert_int_equal(probe_message(&probe, PORT_directory, MSG_node_unknown, 0)->head.request, 13);
    struct node_bye bye = { .run = 50 };
    probe_give(&probe, PORT_directory, &bye, MSG_node_bye);
    assert_true(event("gone", "a"));
}

static void ask(enum message_id id, const void *body) {
    probe.head = (struct head){ .origin = PORT_door, .request = 77, .node = 1 };
    probe_give(&probe, PORT_door, body, id);
    probe.head = (struct head){ 0 };
}

/* A message that an actor could not handle is kept, and the answers concern nobody. */
static void keeps_dead_letters(void **state) {
    (void)state;
    struct dead_letter_add letter = { .to = ACTOR_order,
                                      .type = MSG_place,
                                      .reason = text_of("why") };
    probe_give(&probe, ACTOR_order, &letter, MSG_dead_letter_add);
    const struct message *kept = probe_message(&probe, PORT_pg_shop, MSG_dead_letter_add, 0);
    assert_true(text_is(BODY(kept, dead_letter_add)->reason, "why"));
    uint32_t leases = probe_count(&probe, PORT_pg_shop, MSG_worker_lease);
    probe_refuse(&probe, kept, PROBLEM_unavailable);
    assert_int_equal(probe_count(&probe, PORT_pg_shop, MSG_worker_lease), leases);
}

static void operator_moves_a_shard(void **state) {
    (void)state;
    hello("a", 50, 5, core_hosts, 7);
    pass(4, (int64_t[]){ 50 }, 1);
    hello("b", 60, 6, core_hosts, 8);
    hello("shop", 61, 7, shop_hosts, 9);
    pass(1, (int64_t[]){ 50, 60, 61 }, 3);
    struct shard_move move = { .shard = 1, .node = text_of("b") };
    ask(MSG_shard_move, &move);
    assert_true(text_is(PROBE_SENT(&probe, PORT_door, shard_view, 0)->node, "b"));
    assert_true(seat("order/1@6.1") && seat("timer/1@6.1") && seat("order/0@5.0"));
    move.node = text_of("shop");
    ask(MSG_shard_move, &move);
    assert_int_equal(PROBE_SENT(&probe, PORT_door, failed, 0)->problem, PROBLEM_illegal_state);
    move.node = text_of("nobody");
    ask(MSG_shard_move, &move);
    assert_int_equal(PROBE_SENT(&probe, PORT_door, failed, 1)->problem, PROBLEM_not_found);
    ask(MSG_shard_list, &(struct shard_list){ 0 });
    assert_int_equal(probe_count(&probe, PORT_door, MSG_shard_view), 3);
    assert_true(text_is(PROBE_SENT(&probe, PORT_door, shard_view, 1)->able, "a b"));
    ask(MSG_node_list, &(struct node_list){ 0 });
    assert_int_equal(probe_count(&probe, PORT_door, MSG_node_row), 3);
    assert_true(text_is(PROBE_SENT(&probe, PORT_door, node_row, 0)->spare, "shards 1"));
    struct shard_rebuild rebuild = { .shard = 1 };
    ask(MSG_shard_rebuild, &rebuild);
    const struct message *recover = probe_message(&probe, ACTOR_inventory, MSG_recover, 0);
    assert_int_equal(recover->head.shard, 1);
    assert_int_equal(recover->head.origin, PORT_door);
    struct done done = { .what = MSG_recover };
    probe_answer(&probe, recover, &done, MSG_done); /* It answers the one who sent it: us. */
    assert_int_equal(probe_message(&probe, PORT_door, MSG_done, 0)->head.request, 77);
}

static void members_answer_or_not(void **state) {
    (void)state;
    hello("a", 50, 5, core_hosts, 7);
    hello("b", 60, 6, core_hosts, 8);
    pass(4, (int64_t[]){ 50, 60 }, 2);
    ask(MSG_actor_list, &(struct actor_list){ 0 });
    assert_int_equal(probe_count(&probe, PORT_member, MSG_actor_list), 2);
    const struct message *first = probe_message(&probe, PORT_member, MSG_actor_list, 0);
    const struct message *second = probe_message(&probe, PORT_member, MSG_actor_list, 1);
    assert_true(first->head.node == 5 && second->head.node == 6);
    struct actor_row row = { .node = text_of("a"),
                             .actor = text_of("order"),
                             .state = text_of("up") };
    struct rows_end end = { .what = MSG_actor_list };
    probe_answer(&probe, first, &row, MSG_actor_row);
    probe_answer(&probe, first, &end, MSG_rows_end);
    assert_int_equal(probe_count(&probe, PORT_door, MSG_rows_end), 0);
    const struct message *told = probe_message(&probe, PORT_door, MSG_actor_row, 0);
    assert_true(told->head.request == 77 && told->head.node == 1);
    pass(7, (int64_t[]){ 50, 60 }, 2); /* The other one never does. */
    assert_int_equal(PROBE_SENT(&probe, PORT_door, rows_end, 0)->count, 1);
    probe_answer(&probe, second, &row, MSG_actor_row); /* Too late. */
    assert_int_equal(probe_count(&probe, PORT_door, MSG_actor_row), 1);
    struct actor_restart restart = { .node = text_of("b"), .actor = text_of("order") };
    ask(MSG_actor_restart, &restart);
    const struct message *asked = probe_message(&probe, PORT_member, MSG_actor_restart, 0);
    assert_int_equal(asked->head.node, 6);
    struct done done = { .what = MSG_actor_restart };
    probe_answer(&probe, asked, &done, MSG_done);
    assert_int_equal(probe_count(&probe, PORT_door, MSG_done), 1);
}

static void hosts_as_text(void **state) {
    (void)state;
    struct hosted rows[HOSTED_MAX];
    char text[300];
    assert_int_equal(hosts_read(text_of("bridge@0 order/63@17.1 unheard_of/3@2"), rows), 2);
    assert_int_equal(rows[1].address, ACTOR_order);
    assert_int_equal(rows[1].shard, 63);
    assert_int_equal(rows[1].node, 17);
    assert_int_equal(rows[1].thread, 1);
    uint32_t used = hosts_write(text, 0, sizeof text, &rows[0]);
    used = hosts_write(text, used, sizeof text, &rows[1]);
    assert_true(text_is((struct text){ text, used }, "bridge@0 order/63@17.1"));
    assert_int_equal(hosts_write(text, used, used + 5, &rows[1]), used); /* No room. */
    static const char *const bad[] = { "bridge",          "bridge@",     "bridge@x",
                                       "order/64@0",      "order/@0",    "bridge@0,http@0",
                                       "bridge@99999999", "bridge@0.300" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(hosts_read(text_of(bad[i]), rows), -1);
    uint32_t size = hosts_ranges(0x8000000000000025u, text);
    assert_true(text_is((struct text){ text, size }, "0,2,5,63"));
    size = hosts_ranges(UINT64_MAX, text);
    assert_true(text_is((struct text){ text, size }, "0-63"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(number_is_leased_then_all_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(listens_before_it_publishes, setup, teardown),
        cmocka_unit_test_setup_teardown(incumbent_stays_and_the_spare_takes_over, setup, teardown),
        cmocka_unit_test_setup_teardown(load_is_spread, setup, teardown),
        cmocka_unit_test_setup_teardown(later_run_of_a_name_replaces_the_earlier, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_common_protocol_nobody_joins, setup, teardown),
        cmocka_unit_test_setup_teardown(old_maps_and_unknown_nodes_are_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_dead_letters, setup, teardown),
        cmocka_unit_test_setup_teardown(operator_moves_a_shard, setup, teardown),
        cmocka_unit_test_setup_teardown(members_answer_or_not, setup, teardown),
        cmocka_unit_test(hosts_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
