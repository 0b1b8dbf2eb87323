/* Seals and ids: every changed character is refused, keys rotate, ids never repeat. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "schema/id.h"
#include "schema/seal.h"

static const char *const old_line =
    "1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
static const char *const new_line =
    "2 ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";

static struct seal_keys parse(const char *text) {
    struct seal_keys keys;
    uint32_t line;
    assert_true(seal_keys_parse(&keys, text, strlen(text), &line));
    return keys;
}

static const struct access_claims someone = { .session_id = 3, .user_id = 4, .expires_at = 5 };

static void test_round_trip_and_forgery(void **state) {
    (void)state;
    struct seal_keys keys = parse(old_line);
    struct access_claims got;
    struct ticket_claims other;
    char text[SEAL_TEXT_MAX + 1];
    uint32_t size = seal_write(&keys, MSG_access_claims, &someone, text);
    assert_true(seal_read(&keys, MSG_access_claims, (struct text){ text, size }, &got));
    assert_int_equal(got.user_id, 4);
    /* An access token is no ticket. */
    assert_false(seal_read(&keys, MSG_ticket_claims, (struct text){ text, size }, &other));
    for (uint32_t i = 0; i < size; i++) {
        char changed[SEAL_TEXT_MAX + 1];
        memcpy(changed, text, size);
        /* Every other byte, also one that only differs in bits that no byte of the seal uses. */
        for (int byte = 0; byte < 256; byte++) {
            changed[i] = (char)byte;
            if (changed[i] == text[i]) continue;
            assert_false(seal_read(&keys, MSG_access_claims, (struct text){ changed, size }, &got));
        }
        assert_false(seal_read(&keys, MSG_access_claims, (struct text){ text, i }, &got));
    }
}

static void test_rotation(void **state) {
    (void)state;
    char both[400], text[SEAL_TEXT_MAX + 1];
    struct access_claims got;
    snprintf(both, sizeof both, "# keys\n\n%s%s", old_line, new_line);
    struct seal_keys before = parse(old_line), during = parse(both), after = parse(new_line);
    uint32_t size = seal_write(&before, MSG_access_claims, &someone, text);
    assert_true(seal_read(&during, MSG_access_claims, (struct text){ text, size }, &got));
    assert_false(seal_read(&after, MSG_access_claims, (struct text){ text, size }, &got));
    size = seal_write(&during, MSG_access_claims, &someone, text); /* The last line signs. */
    assert_true(seal_read(&after, MSG_access_claims, (struct text){ text, size }, &got));
}

static void test_bad_key_files(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "\n",
        "1 00\n",
        "0 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n",
        "x 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n",
        "1 g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n",
        ("1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
         "1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n")
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct seal_keys keys;
        uint32_t line;
        assert_false(seal_keys_parse(&keys, bad[i], strlen(bad[i]), &line));
    }
}

static void test_ids(void **state) {
    (void)state;
    struct id_source source = { .worker = 1023 };
    int64_t now = INT64_C(1790000000000000000), last = 0;
    for (int i = 0; i < 20000;
         i++) { /* More than a millisecond has room for; the clock steps back. */
        if (i == 10000) now -= INT64_C(3600000000000);
        int64_t id = id_next(&source, now);
        assert_true(id > last);
        last = id;
    }
    assert_true(id_time(last) - (now + INT64_C(3600000000000)) < 10000000);
    struct id_source early = { 0 };
    assert_true(id_next(&early, 0) > 0);
}

/* One worker, both layouts, the same moments: no number twice, and the shard can be read. */
static void test_ids_with_a_shard(void **state) {
    (void)state;
    enum { MANY = 5000 };
    static int64_t plain[MANY];
    struct id_source ids = { .worker = 7 }, orders = { .worker = 7 };
    int64_t now = INT64_C(1790000000000000000), last = 0;
    for (int i = 0; i < MANY; i++)
        plain[i] = id_next(&ids, now);
    for (int i = 0, k = 0; i < MANY; i++) {
        uint32_t shard = (uint32_t)i * 11 % SHARDS_MAX;
        int64_t id = id_next_in_shard(&orders, now, shard);
        assert_true(id > last || (id ^ last) < SHARDS_MAX);
        assert_int_equal(id_shard(id, SHARDS_MAX), shard);
        assert_int_equal(id_shard(id, 1), 0);
        assert_int_equal(id_shard(id, 0), 0);
        while (k < MANY && plain[k] < id)
            k++;
        assert_true(k == MANY || plain[k] != id);
        assert_true((id & ~(int64_t)(SHARDS_MAX - 1)) != (last & ~(int64_t)(SHARDS_MAX - 1)));
        last = id;
    }
}

static void test_rids(void **state) {
    (void)state;
    int64_t rid = rid_make(127, RID_EPOCH_MAX, RID_SEQ_MAX);
    assert_true(rid > 0);
    assert_int_equal(rid_shard(rid), 127);
    assert_int_equal(rid_epoch(rid), RID_EPOCH_MAX);
    assert_true(rid_seq(rid) == RID_SEQ_MAX);
    assert_true(rid_make(0, 2, 1) > rid_make(0, 1, RID_SEQ_MAX)); /* A later epoch is later. */
}

int main(void) {
    if (sodium_init() < 0) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip_and_forgery), cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_bad_key_files),          cmocka_unit_test(test_ids),
        cmocka_unit_test(test_ids_with_a_shard),       cmocka_unit_test(test_rids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
