/* What JSON, path members and query members have in common: values from text, and the sentences
 * that say what was wrong. */
#include "schema/json.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "schema/id.h"
#include "schema/json_internal.h"
#include "schema/timefmt.h"

bool json_refuse(struct json_fail *fail, enum problem problem, struct text name, const char *format,
                 ...) {
    va_list arguments;
    fail->problem = problem;
    uint32_t size = name.size < JSON_FAIL_FIELD - 1 ? name.size : JSON_FAIL_FIELD - 1;
    /* A name of the client's may hold anything; a cut one must not end inside a character. */
    while (size > 0 && size < name.size && ((unsigned char)name.at[size] & 0xc0) == 0x80)
        size--;
    for (uint32_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)name.at[i];
        fail->field[i] = (char)(byte < 0x20 || byte == 0x7f ? '?' : byte);
    }
    fail->field[size] = 0;
    va_start(arguments, format);
    int length = vsnprintf(fail->detail, sizeof fail->detail, format, arguments);
    va_end(arguments);
    if (length < 0) fail->detail[0] = 0;
    return false;
}

static bool wrong_type(const struct field *field, struct json_fail *fail) {
    const char *form = "has the wrong type";
    switch (field->kind) {
    case KIND_id: form = "must be a decimal string, such as \"42\""; break;
    case KIND_rid: form = "must be a text such as \"3-1021\""; break;
    case KIND_time: form = "must be a time such as \"2026-11-20T14:35:00Z\""; break;
    case KIND_span: form = "must be a whole number of seconds"; break;
    case KIND_money:
        form = "must be an object such as {\"amount\":1999,\"currency\":\"CNY\"}";
        break;
    case KIND_address: form = "must be an object of name, phone, line, city and country"; break;
    case KIND_text:
    case KIND_secret: form = "must be a text"; break;
    case KIND_i64:
    case KIND_u32: form = "must be a whole number"; break;
    default: break;
    }
    return json_refuse(fail, PROBLEM_wrong_type, text_of(field->name), "%s %s", field->name, form);
}

bool json_wrong_type(const struct field *field, struct json_fail *fail) {
    if (kind_stored(field->kind) != STORED_enum) return wrong_type(field, fail);
    return json_refuse(fail, PROBLEM_wrong_type, text_of(field->name),
                       "%s must be a name, as a text", field->name);
}

bool json_out_of_range(const struct field *field, struct json_fail *fail) {
    const char *name = field->name;
    int64_t unit = field->kind == KIND_span ? TIMEFMT_NS_PER_S : 1;
    int64_t lo = field->lo / unit, hi = field->hi / unit;
    const char *what = field->kind == KIND_span ? " seconds" : "";
    const char *part = field->kind == KIND_money ? ".amount" : "";
    char whole[JSON_FAIL_FIELD];
    if (kind_stored(field->kind) == STORED_text) {
        return json_refuse(fail, PROBLEM_out_of_range, text_of(name),
                           "%s must be %" PRId64 " to %" PRId64 " bytes long", name, lo, hi);
    }
    if (field->kind == KIND_time) {
        return json_refuse(fail, PROBLEM_out_of_range, text_of(name),
                           "%s must be a time after 1970", name);
    }
    snprintf(whole, sizeof whole, "%s%s", name, part);
    if (field->kind == KIND_id && lo < 1) lo = 1; /* 0 says "absent", it is never an id. */
    if (hi == INT64_MAX) {
        return json_refuse(fail, PROBLEM_out_of_range, text_of(whole),
                           "%s must be %" PRId64 " or more", whole, lo);
    }
    return json_refuse(fail, PROBLEM_out_of_range, text_of(whole),
                       "%s must be between %" PRId64 " and %" PRId64 "%s", whole, lo, hi, what);
}

static bool no_such_name(const struct field *field, struct json_fail *fail) {
    char names[JSON_FAIL_DETAIL] = "";
    size_t used = 0;
    for (uint32_t value = 1; kind_is_state(field->kind) && value < 100; value++) {
        const char *name = state_name(field->kind, value);
        if (name == NULL) continue;
        int size = snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", name);
        if (size < 0 || (size_t)size >= sizeof names - used) break;
        used += (size_t)size;
    }
    return json_refuse(fail, PROBLEM_out_of_range, text_of(field->name), "%s must be one of: %s",
                       field->name, names);
}

bool json_put_number(const struct field *field, void *body, int64_t value, struct json_fail *fail) {
    if (field->kind == KIND_span && __builtin_mul_overflow(value, TIMEFMT_NS_PER_S, &value)) {
        return json_out_of_range(field, fail);
    }
    if (value < field->lo || value > field->hi) return json_out_of_range(field, fail);
    field_set_number(field, body, value);
    return true;
}

bool json_put_money(const struct field *field, void *body, int64_t amount, struct text currency,
                    struct json_fail *fail) {
    struct money money = { .amount = amount };
    char name[JSON_FAIL_FIELD];
    if (amount < field->lo || amount > field->hi) return json_out_of_range(field, fail);
    if (currency.size == 3) memcpy(money.currency, currency.at, 3);
    if (currency.size != 3 || !currency_valid(money.currency)) {
        snprintf(name, sizeof name, "%s.currency", field->name);
        return json_refuse(fail, PROBLEM_out_of_range, text_of(name),
                           "%s must be three capital letters, such as CNY", name);
    }
    memcpy((char *)body + field->offset, &money, sizeof money);
    return true;
}

/* Decimal digits without a leading zero; at most 2^63-1. */
static bool read_number(const char *at, size_t size, int64_t *value) {
    int64_t result = 0;
    if (size == 0 || size > 19 || (at[0] == '0' && size > 1)) return false;
    for (size_t i = 0; i < size; i++) {
        if (at[i] < '0' || at[i] > '9') return false;
        if (__builtin_mul_overflow(result, 10, &result)) return false;
        if (__builtin_add_overflow(result, at[i] - '0', &result)) return false;
    }
    *value = result;
    return true;
}

static bool read_signed(struct text text, int64_t *value) {
    bool minus = text.size > 1 && text.at[0] == '-';
    if (!read_number(text.at + minus, text.size - minus, value)) return false;
    if (minus) *value = -*value;
    return true;
}

static bool put_id(const struct field *field, void *body, struct text text,
                   struct json_fail *fail) {
    int64_t value;
    if (!read_number(text.at, text.size, &value)) return wrong_type(field, fail);
    if (value == 0) return json_out_of_range(field, fail);
    return json_put_number(field, body, value, fail);
}

static bool put_rid(const struct field *field, void *body, struct text text,
                    struct json_fail *fail) {
    int64_t epoch, seq;
    const char *dash = text.size > 0 ? memchr(text.at, '-', text.size) : NULL;
    if (dash == NULL || !read_number(text.at, (size_t)(dash - text.at), &epoch) ||
        !read_number(dash + 1, (size_t)(text.at + text.size - dash - 1), &seq)) {
        return wrong_type(field, fail);
    }
    if (epoch < 1 || epoch > RID_EPOCH_MAX || (uint64_t)seq > RID_SEQ_MAX) {
        return json_out_of_range(field, fail);
    }
    return json_put_number(field, body, rid_make(0, (uint32_t)epoch, (uint64_t)seq), fail);
}

bool json_check_text(const struct field *field, struct text value, struct json_fail *fail) {
    if (!utf8_valid(value.at, value.size, false)) {
        return json_refuse(fail, PROBLEM_malformed, text_of(field->name),
                           "%s must be UTF-8 without control characters", field->name);
    }
    if (value.size < field->lo || value.size > field->hi) return json_out_of_range(field, fail);
    return true;
}

bool json_put_string(const struct field *field, void *body, struct text value,
                     struct json_fail *fail) {
    int64_t time;
    switch (field->kind) {
    case KIND_id: return put_id(field, body, value, fail);
    case KIND_rid: return put_rid(field, body, value, fail);
    case KIND_time:
        if (!timefmt_read(value.at, value.size, &time)) return wrong_type(field, fail);
        return json_put_number(field, body, time, fail);
    case KIND_text:
    case KIND_secret:
        if (!json_check_text(field, value, fail)) return false;
        memcpy((char *)body + field->offset, &value, sizeof value);
        return true;
    default: break;
    }
    if (kind_stored(field->kind) != STORED_enum) return wrong_type(field, fail);
    int64_t number = state_value(field->kind, value);
    if (number <= 0) return no_such_name(field, fail);
    return json_put_number(field, body, number, fail);
}

static bool set_money(const struct field *field, void *body, struct text value,
                      struct json_fail *fail) {
    int64_t amount;
    if (value.size < 4 || !read_number(value.at, value.size - 3, &amount)) {
        return json_refuse(fail, PROBLEM_wrong_type, text_of(field->name),
                           "%s must be minor units and a currency, such as 1999CNY", field->name);
    }
    struct text currency = { value.at + value.size - 3, 3 };
    return json_put_money(field, body, amount, currency, fail);
}

bool json_set(const struct field *field, void *body, struct text value, struct json_fail *fail) {
    int64_t number;
    if (field->need == CONTEXT) return json_unknown(text_of(field->name), fail);
    switch (field->kind) {
    case KIND_i64:
    case KIND_u32:
    case KIND_span:
        if (!read_signed(value, &number)) return wrong_type(field, fail);
        return json_put_number(field, body, number, fail);
    case KIND_money: return set_money(field, body, value, fail);
    default: return json_put_string(field, body, value, fail);
    }
}

bool json_unknown(struct text name, struct json_fail *fail) {
    json_refuse(fail, PROBLEM_unknown_field, name, "-");
    snprintf(fail->detail, sizeof fail->detail, "%s is not known here", fail->field);
    return false;
}

bool json_check(const struct message_type *type, const void *body, struct json_fail *fail) {
    const struct field *culprit;
    enum problem problem = message_validate(type, body, &culprit);
    if (problem == PROBLEM_none) return true;
    if (problem == PROBLEM_out_of_range) return json_out_of_range(culprit, fail);
    const char *rule = problem == PROBLEM_missing_field ? "is required" : "is malformed";
    return json_refuse(fail, problem, text_of(culprit->name), "%s %s", culprit->name, rule);
}
