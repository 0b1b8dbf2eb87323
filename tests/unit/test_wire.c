/* What holds for every message, over the table: what is encoded is decoded; every truncation is
 * refused; every changed byte is refused or decodes to something valid; msgpack-c agrees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <msgpack.h>

#include "broker/frame.h"
#include "schema/wire.h"

enum { BODY_MAX = 4096, WIRE_MAX = 8192 };

static char letters[4096];

static void fill(const struct message_type *type, void *body, bool most) {
    memset(body, 0, type->size);
    memset(letters, 'x', sizeof letters);
    for (const struct field *field = type->fields; field->name; field++) {
        int64_t number = most ? field->hi : field->lo;
        struct text text = { letters, (uint32_t)(number > 900 ? 900 : number < 1 ? 1 : number) };
        struct money money = { most ? field->hi : field->lo, "CNY" };
        switch (kind_stored(field->kind)) {
        case STORED_text: memcpy((char *)body + field->offset, &text, sizeof text); break;
        case STORED_money: memcpy((char *)body + field->offset, &money, sizeof money); break;
        case STORED_enum:
            field_set_number(field, body, field->kind == KIND_problem ? PROBLEM_sold_out : 2);
            break;
        case STORED_int64:
        case STORED_uint32: field_set_number(field, body, number); break;
        }
    }
}

static void assert_same(const struct message_type *type, const void *a, const void *b) {
    for (const struct field *field = type->fields; field->name; field++) {
        assert_int_equal(field_number(field, a), field_number(field, b));
        struct text left = field_text(field, a), right = field_text(field, b);
        if (left.size > 0) assert_memory_equal(left.at, right.at, left.size);
    }
}

static void test_round_trip(void **state) {
    (void)state;
    for (const struct message_type *type = message_types(); type->name; type++) {
        for (int most = 0; most < 2; most++) {
            _Alignas(16) char sent[BODY_MAX], got[BODY_MAX];
            uint8_t bytes[WIRE_MAX];
            const struct field *culprit = NULL;
            assert_true(type->size <= BODY_MAX);
            fill(type, sent, most);
            size_t size = wire_encode(type, sent, bytes, sizeof bytes);
            assert_true(size > 0 && size <= wire_bound(type, sent));
            enum problem problem = wire_decode(type, bytes, size, got, &culprit);
            if (problem)
                fail_msg("%s.%s: %s", type->name, culprit ? culprit->name : "?",
                         problem_name(problem));
            assert_same(type, sent, got);
        }
    }
}

static void test_truncated(void **state) {
    (void)state;
    for (const struct message_type *type = message_types(); type->name; type++) {
        _Alignas(16) char sent[BODY_MAX], got[BODY_MAX];
        uint8_t bytes[WIRE_MAX];
        const struct field *culprit;
        fill(type, sent, true);
        size_t size = wire_encode(type, sent, bytes, sizeof bytes);
        for (size_t cut = 0; cut < size; cut++) {
            uint8_t *exact = malloc(cut + 1); /* So that a read beyond the end is seen. */
            memcpy(exact, bytes, cut);
            assert_int_not_equal(wire_decode(type, exact, cut, got, &culprit), PROBLEM_none);
            assert_int_equal(wire_encode(type, sent, exact, cut), 0);
            free(exact);
        }
        bytes[size] = 0xc0; /* A trailing byte. */
        assert_int_equal(wire_decode(type, bytes, size + 1, got, &culprit), PROBLEM_malformed);
    }
}

static void test_changed(void **state) {
    (void)state;
    for (const struct message_type *type = message_types(); type->name; type++) {
        _Alignas(16) char sent[BODY_MAX], got[BODY_MAX];
        uint8_t bytes[WIRE_MAX], again[WIRE_MAX];
        const struct field *culprit;
        fill(type, sent, false);
        size_t size = wire_encode(type, sent, bytes, sizeof bytes);
        for (size_t i = 0; i < size; i++) {
            uint8_t old = bytes[i];
            for (unsigned value = 0; value < 256; value++) {
                bytes[i] = (uint8_t)value;
                if (wire_decode(type, bytes, size, got, &culprit) != PROBLEM_none) continue;
                assert_int_equal(message_validate(type, got, &culprit), PROBLEM_none);
                assert_true(wire_encode(type, got, again, sizeof again) > 0);
            }
            bytes[i] = old;
        }
    }
}

static void test_later_version(void **state) {
    (void)state;
    /* [7, "more"]: done has `what` first; a field appended by a later version is skipped. */
    struct done got;
    const struct field *culprit;
    const uint8_t bytes[] = { 0x95, 7, 8, 9, 0xa1, 'x', 0x91, 1 };
    assert_int_equal(wire_decode(message_type(MSG_done), bytes, sizeof bytes, &got, &culprit),
                     PROBLEM_none);
    assert_int_equal(got.what, 7);
    const uint8_t earlier[] = { 0x91, 7 }; /* And one that an earlier version did not write. */
    assert_int_equal(wire_decode(message_type(MSG_done), earlier, sizeof earlier, &got, &culprit),
                     PROBLEM_none);
    assert_int_equal(got.count, 0);
}

static void test_hostile(void **state) {
    (void)state;
    static const struct {
        const char *what;
        uint8_t bytes[12];
        size_t size;
    } cases[] = {
        { "array of 2^32-1", { 0xdd, 0xff, 0xff, 0xff, 0xff }, 5 },
        { "map of 2^32-1", { 0xdf, 0xff, 0xff, 0xff, 0xff }, 5 },
        { "string longer than the bytes", { 0xdb, 0x7f, 0xff, 0xff, 0xff, 'x' }, 6 },
        { "ext", { 0xc7, 1, 1, 0 }, 4 },
        { "reserved byte", { 0xc1 }, 1 },
        { "overlong UTF-8", { 0xa2, 0xc0, 0xaf }, 3 },
        { "surrogate", { 0xa3, 0xed, 0xa0, 0x80 }, 4 },
        { "nine levels", { 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 1 }, 10 },
        { "nothing", { 0 }, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (wire_scan(cases[i].bytes, cases[i].size, WIRE_OBJECTS_MAX) != 0)
            fail_msg("%s", cases[i].what);
    }
    assert_true(utf8_valid(NULL, 0, false)); /* Found by the fuzzer: an absent text. */
    static uint8_t many[4000];
    many[0] = 0xdc, many[1] = 0x0f, many[2] = 0x9d; /* 3997 numbers: more than allowed. */
    assert_int_equal(wire_scan(many, sizeof many, WIRE_OBJECTS_MAX), 0);
    assert_int_equal(wire_scan(many, sizeof many, 4000), sizeof many);
}

/* Whatever the scan lets through, msgpack-c reads to the same end. */
static void test_scan_agrees(void **state) {
    (void)state;
    uint64_t seed = 42;
    uint32_t accepted = 0;
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[24];
        for (size_t i = 0; i < sizeof bytes; i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
            bytes[i] = (uint8_t)(seed >> 56);
        }
        if (round % 2) bytes[0] = (uint8_t)(0x90 | (bytes[0] & 3));
        size_t size = wire_scan(bytes, sizeof bytes, WIRE_OBJECTS_MAX), at = 0;
        if (size == 0) continue;
        accepted++;
        msgpack_unpacked result;
        msgpack_unpacked_init(&result);
        assert_int_equal(msgpack_unpack_next(&result, (const char *)bytes, size, &at),
                         MSGPACK_UNPACK_SUCCESS);
        assert_int_equal(at, size);
        msgpack_unpacked_destroy(&result);
    }
    assert_true(accepted > 1000);
}

static void test_numbers_are_kept(void **state) {
    (void)state;
    /* A message number, once used, is never given to another message: the list only grows. */
    FILE *list = fopen("schema/numbers.txt", "r");
    assert_non_null(list);
    char name[64];
    unsigned number, known = 0;
    while (fscanf(list, "%x %63s", &number, name) == 2) {
        const struct message_type *type = message_type((enum message_id)number);
        if (type != NULL && strcmp(type->name, name) != 0) {
            fail_msg("0x%04x was %s and is now %s", number, name, type->name);
        }
        known++;
    }
    fclose(list);
    if (known < message_type_count()) fail_msg("add the new numbers to schema/numbers.txt");
}

static void test_frame(void **state) {
    (void)state;
    struct batch sent, got;
    struct frame frame = { 0 };
    batch_init(&sent);
    batch_init(&got);
    for (const struct message_type *type = message_types(); type->name; type++) {
        _Alignas(16) char body[BODY_MAX];
        fill(type, body, true);
        struct head head = { .type = (uint16_t)type->id,
                             .from = ACTOR_order,
                             .to = PORT_http,
                             .origin = ACTOR_bridge,
                             .request = UINT64_MAX - 1,
                             .trace = 77,
                             .deadline = 5 };
        batch_append(&sent, &(struct message){ head, body });
    }
    for (uint32_t i = 0; i < sent.count; i++)
        frame_append(&frame, &sent.items[i]);
    assert_true(frame_read(frame.bytes, frame.size, &got));
    assert_int_equal(got.count, sent.count);
    for (uint32_t i = 0; i < got.count; i++) {
        assert_memory_equal(&got.items[i].head, &sent.items[i].head, sizeof(struct head));
        assert_same(message_type((enum message_id)got.items[i].head.type), sent.items[i].body,
                    got.items[i].body);
    }
    for (size_t cut = 1; cut < frame.size; cut += 13) {
        batch_reset(&got);
        /* Cut between messages it is a shorter frame; anywhere else it is refused. */
        if (frame_read(frame.bytes, frame.size - cut, &got)) assert_true(got.count < sent.count);
    }
    batch_fini(&sent);
    batch_fini(&got);
    frame_fini(&frame);
    frame_fini(&frame);
}

/* Whole words are looked at at once: every byte at every place of one, and behind it. */
static void every_byte_is_looked_at(void **state) {
    (void)state;
    for (size_t place = 0; place < 19; place++) {
        for (unsigned value = 0; value < 256; value++) {
            char text[] = "a plain text of 19b";
            text[place] = (char)value;
            bool plain = value >= 0x20 && value < 0x7f;
            assert_int_equal(utf8_valid(text, 19, false), plain);
            assert_int_equal(utf8_valid(text, 19, true), value < 0x80);
        }
    }
}

static void append_forged(struct frame *frame, const struct envelope *envelope, const void *body,
                          size_t size) {
    uint8_t bytes[256];
    size_t head = wire_encode(message_type(MSG_envelope), envelope, bytes, sizeof bytes);
    memcpy(bytes + head, body, size);
    frame->bytes = realloc(frame->bytes, frame->size + head + size);
    assert_non_null(frame->bytes);
    memcpy(frame->bytes + frame->size, bytes, head + size);
    frame->size += head + size;
    frame->capacity = frame->size;
}

static void append_done(struct frame *frame, uint32_t count) {
    struct done body = { .count = count };
    frame_append(frame, &(struct message){ { .type = MSG_done, .to = ACTOR_bridge }, &body });
}

/* What a node of the next version sends: what we know of it arrives, in order. */
static void test_frame_of_a_newer_node(void **state) {
    (void)state;
    static const uint8_t one_number[] = { 0x91, 7 };
    static const uint8_t four_fields[] = { 0x95, 1, 2, 3, 0xa1, 'x', 0x92, 1, 0xa1, 'y' };
    static const uint8_t new_problem[] = { 0x91, 0xcd, 5555 >> 8, 5555 & 255 };
    struct frame frame = { 0 };
    struct frame_skips skips = { 0 };
    struct batch got;
    batch_init(&got);
    append_done(&frame, 11);
    struct envelope envelope = { .type = 0x7ffe, .to = ACTOR_bridge };
    append_forged(&frame, &envelope, one_number, sizeof one_number);
    envelope = (struct envelope){ .type = MSG_done, .to = ACTOR_bridge };
    append_forged(&frame, &envelope, four_fields, sizeof four_fields);
    envelope.to = 200;
    append_forged(&frame, &envelope, one_number, sizeof one_number);
    envelope = (struct envelope){ .type = MSG_done, .to = ACTOR_bridge, .from = 200 };
    append_forged(&frame, &envelope, one_number, sizeof one_number);
    envelope = (struct envelope){ .type = MSG_failed, .to = ACTOR_bridge };
    append_forged(&frame, &envelope, new_problem, sizeof new_problem);
    append_done(&frame, 12);
    assert_true(frame_read_from(frame.bytes, frame.size, &got, &skips));
    assert_int_equal(got.count, 3);
    assert_int_equal(BODY(&got.items[0], done)->count, 11);
    assert_int_equal(BODY(&got.items[1], done)->count, 3);
    assert_int_equal(BODY(&got.items[2], done)->count, 12);
    assert_int_equal(skips.unknown, 3);
    assert_int_equal(skips.newer, 1);
    assert_int_equal(skips.invalid, 1);
    assert_false(frame_read(frame.bytes, frame.size, &got)); /* Not a frame of our own. */
    frame.bytes[frame.size - 1] = 0xc1;                      /* No msgpack at all. */
    assert_false(frame_read_from(frame.bytes, frame.size, &got, &skips));
    batch_fini(&got);
    frame_fini(&frame);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_changed),
        cmocka_unit_test(test_later_version),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_scan_agrees),
        cmocka_unit_test(test_numbers_are_kept),
        cmocka_unit_test(test_frame),
        cmocka_unit_test(every_byte_is_looked_at),
        cmocka_unit_test(test_frame_of_a_newer_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
