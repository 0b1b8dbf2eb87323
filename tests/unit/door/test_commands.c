/* The door's decisions: every command for every role, what is written to the record, and that all
 * that is said of a command elsewhere (example, manual) is so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/json.h"
#include "tools/doorctl/doorctl.h"

/* Written down once more on purpose: whoever gives a command to another role does it here, too. */
static const struct {
    enum role least;
    const char *commands; /* Each with a comma before and behind. */
} granted[] = {
    { role_viewer, ",product list,sku list,stock show,sale show,sale list,trace,dead list,status,"
                   "reconcile,node list,node status,node trace,shard list,actor list," },
    { role_operator, ",product add,sku add,stock receive,sale create,sale add-lot,sale schedule,"
                     "sale open,sale pause,sale resume,sale close,sale settle,sale archive,"
                     "order show,order cancel,user show,user ban,user unban,user kick,dead show,"
                     "dead retry,dead drop," },
    { role_admin, ",audit,shard move,shard recover,actor restart," },
};

static enum role least_of(const char *name) {
    char word[64];
    snprintf(word, sizeof word, ",%s,", name);
    for (size_t i = 0; i < sizeof granted / sizeof granted[0]; i++) {
        if (strstr(granted[i].commands, word) != NULL) return granted[i].least;
    }
    return role_none;
}

static void every_command_for_every_role(void **state) {
    (void)state;
    static const enum role roles[] = { role_none, role_viewer, role_operator, role_admin };
    for (const struct door_command *command = door_commands; command->noun; command++) {
        char name[WORD_MAX];
        door_command_name(command, name, sizeof name);
        enum role least = least_of(name);
        if (least == role_none) fail_msg("`%s` is not in the table of this test", name);
        for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
            bool may = roles[i] != role_none && roles[i] >= least;
            if (door_allows(roles[i], command) != may)
                fail_msg("%s for %s", name, state_name(KIND_role, roles[i]));
        }
        assert_int_equal(door_audited(command), least != role_viewer);
    }
}

/* The record has its own copy of what was asked: nothing secret may be in it, and what it is about
 * must be a field that the record knows. */
static void the_record_holds_no_secrets(void **state) {
    (void)state;
    static const char known[] = ",,product_id,sku_id,sale_id,order_id,letter_id,user,shard,";
    for (const struct door_command *command = door_commands; command->noun; command++) {
        char about[64];
        const struct message_type *type = message_type(command->message);
        snprintf(about, sizeof about, ",%s,", command->about);
        if (strstr(known, about) == NULL) fail_msg("%s is about %s", type->name, command->about);
        if (!door_audited(command)) continue;
        for (const struct field *field = type->fields; field->name; field++) {
            /* The door refuses secrets in any command. */
            bool must = field->need == REQUIRED && field->kind == KIND_secret;
            if (must || (field->need != CONTEXT && field->kind == KIND_address))
                fail_msg("%s.%s", type->name, field->name);
        }
    }
}

/* Splits as a shell does, single quotes only. */
static int split(char *line, char **words, int max) {
    int count = 0;
    for (char *at = line; *at != 0 && count < max;) {
        at += strspn(at, " ");
        if (*at == 0) break;
        bool quoted = *at == '\'';
        char *start = at + quoted, *stop = start + strcspn(start, quoted ? "'" : " ");
        words[count++] = start;
        at = *stop != 0 ? stop + 1 : stop;
        *stop = 0;
    }
    return count;
}

static void examples_are_commands(void **state) {
    (void)state;
    for (const struct door_command *command = door_commands; command->noun; command++) {
        _Alignas(16) char body[BODY_MAX] = { 0 };
        char line[300], *words[32];
        int used = 0, count;
        snprintf(line, sizeof line, "%s", command->example);
        count = split(line, words, 32);
        if (count > 1 && strcmp(words[count - 1], "--json") == 0) count--;
        assert_string_equal(words[0], "doorctl");
        if (door_find(count - 1, words + 1, &used) != command) fail_msg("%s", command->example);
        if (!door_fill(command, count - 1 - used, words + 1 + used, body))
            fail_msg("%s", command->example);
        struct message message = { { .type = (uint16_t)command->message }, body };
        assert_ptr_equal(door_command_of(&message), command);
    }
}

static void only_what_has_a_row_is_a_command(void **state) {
    (void)state;
    struct sale_move warm = { .sale_id = 1, .to = sale_state_warming };
    struct sale_move open = { .sale_id = 1, .to = sale_state_open };
    struct message message = { { .type = MSG_sale_move }, &warm };
    assert_null(door_command_of(&message));
    message.body = &open;
    assert_string_equal(door_command_of(&message)->verb, "open");
    struct purchase_refuse refuse = { 0 };
    message = (struct message){ { .type = MSG_purchase_refuse }, &refuse };
    assert_null(door_command_of(&message));
}

static char *read_file(const char *name) {
    static char text[1 << 17];
    FILE *from = fopen(name, "r");
    assert_non_null(from);
    size_t size = fread(text, 1, sizeof text - 1, from);
    fclose(from);
    text[size] = 0;
    return text;
}

/* docs/man/doorctl.1 has each command once, with its words and options. */
static void the_manual_is_complete(void **state) {
    (void)state;
    const char *manual = read_file("docs/man/doorctl.1");
    for (const struct door_command *command = door_commands; command->noun; command++) {
        char line[400], name[WORD_MAX], flag[WORD_MAX];
        door_command_name(command, name, sizeof name);
        int size = snprintf(line, sizeof line, ".It Cm %s", name);
        const struct message_type *type = message_type(command->message);
        for (const struct field *field = type->fields; field->name; field++) {
            if (door_is_word(command, field))
                size += snprintf(line + size, sizeof line - (size_t)size, " Ar %s", field->name);
        }
        for (const struct field *field = type->fields; field->name; field++) {
            if (!door_is_option(command, field)) continue;
            door_flag(field, flag);
            size += snprintf(line + size, sizeof line - (size_t)size, " Op Fl %s Ar %s", flag + 1,
                             field->name);
        }
        snprintf(line + size, sizeof line - (size_t)size, "\n");
        if (strstr(manual, line) == NULL) fail_msg("docs/man/doorctl.1 lacks: %s", line);
    }
    for (const char *at = manual; (at = strstr(at, "\n.It Cm ")) != NULL; at++) {
        bool known = strncmp(at + 8, "top", 3) == 0 || strncmp(at + 8, "completion", 10) == 0;
        for (const struct door_command *c = door_commands; c->noun && !known; c++) {
            char name[WORD_MAX];
            door_command_name(c, name, sizeof name);
            known = strncmp(at + 8, name, strlen(name)) == 0;
        }
        if (!known) fail_msg("docs/man/doorctl.1 has what is no command: %.40s", at + 1);
    }
}

/* A row of this type as it is printed: the names of its fields, each with a comma behind. */
static void names_printed(const struct message_type *type, const void *body, bool as_json,
                          char *names, size_t size) {
    static char line[1 << 16];
    FILE *to = fmemopen(line, sizeof line, "w");
    print_row(to, as_json, &(struct message){ { .type = (uint16_t)type->id }, body });
    fclose(to);
    size_t used = 0;
    names[0] = 0;
    for (const struct field *field = type->fields; field->name; field++) {
        char word[WORD_MAX];
        snprintf(word, sizeof word, as_json ? "\"%s\":" : " %s=", field->name);
        if (strstr(line, word) != NULL)
            used += (size_t)snprintf(names + used, size - used, "%s,", field->name);
    }
}

/* Shard 0 has a name, and a count of 0 is a count. */
static void text_has_the_fields_of_json(void **state) {
    (void)state;
    static _Alignas(16) char body[1 << 13];
    char as_json[1000], as_text[1000];
    for (const struct message_type *type = message_types(); type->name; type++) {
        assert_true(type->size <= sizeof body);
        for (int filled = 0; filled < 2; filled++) {
            memset(body, 0, sizeof body);
            for (const struct field *field = type->fields; filled && field->name; field++)
                if (kind_stored(field->kind) != STORED_text) field_set_number(field, body, 1);
            names_printed(type, body, true, as_json, sizeof as_json);
            names_printed(type, body, false, as_text, sizeof as_text);
            assert_string_equal(as_text, as_json);
        }
    }
    memset(body, 0, sizeof body);
    names_printed(message_type(MSG_shard_view), body, false, as_text, sizeof as_text);
    assert_string_equal(as_text, "shard,");
    names_printed(message_type(MSG_actor_row), body, false, as_text, sizeof as_text);
    assert_string_equal(as_text, "shard,depth,restarts,handled,");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_for_every_role),
        cmocka_unit_test(the_record_holds_no_secrets),
        cmocka_unit_test(examples_are_commands),
        cmocka_unit_test(only_what_has_a_row_is_a_command),
        cmocka_unit_test(the_manual_is_complete),
        cmocka_unit_test(text_has_the_fields_of_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
