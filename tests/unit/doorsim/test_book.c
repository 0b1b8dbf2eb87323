/* The bench's book: medians and spreads, what stands beside what, targets met and missed. */
#include "tools/doorsim/bench/book.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct book book;

static int fresh(void **state) {
    (void)state;
    memset(&book, 0, sizeof book);
    return 0;
}

static void add_all(enum figure figure, unsigned count, const double *values) {
    for (unsigned i = 0; i < count; i++) {
        book_add(&book, figure, values[i]);
    }
}

static void near(double a, double b) {
    if (fabs(a - b) > 1e-9 * (fabs(a) + 1)) fail_msg("%g is not %g", a, b);
}

static void medians(void **state) {
    (void)state;
    const struct values *values = &book.figures[FIGURE_purchases];
    near(values_median(values), 0);
    add_all(FIGURE_purchases, 5, (const double[]){ 5, 1, 4, 2, 3 });
    near(values_median(values), 3);
    near(values_low(values), 1);
    near(values_high(values), 5);
    book_add(&book, FIGURE_purchases, 10);
    near(values_median(values), 3.5);
    book_add(&book, FIGURE_purchases, NAN);
    book_add(&book, FIGURE_purchases, INFINITY);
    assert_int_equal(values->count, 6);
    for (int i = 0; i < 2 * ROUNDS_MAX; i++) {
        book_add(&book, FIGURE_purchases, 3);
    }
    assert_int_equal(values->count, ROUNDS_MAX);
}

/* How a target is judged in the JSON. */
static const char *judged(const char *name, double *reached) {
    static char word[20];
    json_t *json = book_json(&book), *target;
    size_t i;
    word[0] = '\0';
    json_array_foreach(json_object_get(json, "targets"), i, target) {
        if (strcmp(json_string_value(json_object_get(target, "name")), name) != 0) continue;
        *reached = json_number_value(json_object_get(target, "reached"));
        (void)snprintf(word, sizeof word, "%s", json_string_value(json_object_get(target, "is")));
    }
    json_decref(json);
    return word;
}

static void shares(void **state) {
    (void)state;
    double reached;
    const char *name = "without HTTP, of the lower ceiling";
    assert_string_equal(judged(name, &reached), "not measured");
    book_add(&book, FIGURE_pipeline, 50);
    book_add(&book, FIGURE_script_256, 200);
    assert_string_equal(judged(name, &reached), "not measured"); /* The other ceiling is missing. */
    book_add(&book, FIGURE_batch_256, 100);
    assert_string_equal(judged(name, &reached), "met");
    near(reached, 0.5);
    add_all(FIGURE_pipeline, 2, (const double[]){ 70, 70 });
    assert_string_equal(judged(name, &reached), "dream");
    add_all(FIGURE_pipeline, 4, (const double[]){ 30, 30, 30, 30 });
    assert_string_equal(judged(name, &reached), "MISSED");
}

static void amounts(void **state) {
    (void)state;
    double reached;
    book_add(&book, FIGURE_half_p99, 19.5);
    assert_string_equal(judged("p99 at half load, ms", &reached), "met");
    book_add(&book, FIGURE_half_p99, 20.7);
    near(book_median(&book, FIGURE_half_p99), 20.1);
    assert_string_equal(judged("p99 at half load, ms", &reached), "MISSED");
    add_all(FIGURE_half_p99, 3, (const double[]){ 1, 1, 1 });
    assert_string_equal(judged("p99 at half load, ms", &reached), "dream");
    FILE *to = fopen("/dev/null", "we");
    assert_int_equal(book_print_targets(to, &book), 0);
    add_all(FIGURE_half_p99, 4, (const double[]){ 99, 99, 99, 99 });
    assert_int_equal(book_print_targets(to, &book), 1);
    fclose(to);
}

static void notes(void **state) {
    (void)state;
    book_note(&book, "late by %d ms", 12);
    book_note(&book, "late by %d ms", 13);
    book_note(&book, "later by %d ms", 13);
    assert_int_equal(book.note_count, 2);
    assert_int_equal(book.notes[0].times, 2);
    assert_string_equal(book.notes[0].text, "late by 12 ms");
    for (int i = 0; i < NOTES_MAX; i++) {
        book_note(&book, "%c%c", 'a' + i / 8, 'a' + i % 8);
    }
    assert_int_equal(book.note_count, NOTES_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(medians, fresh),
        cmocka_unit_test_setup(shares, fresh),
        cmocka_unit_test_setup(amounts, fresh),
        cmocka_unit_test_setup(notes, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
