/* The table of statements. */
#include "broker/pg/statements.h"

static const struct statement table[] = {
#define STATEMENT(request, answer, mode, sql)                                                      \
    { MSG_##request, MSG_##answer, STATEMENT_##mode, sql },
#include "broker/pg/statements.def"
#undef STATEMENT
    { 0, 0, STATEMENT_ONE, NULL },
};
_Static_assert(sizeof table / sizeof *table <= LINK_STATEMENTS_MAX, "too many statements");

const struct statement *statements(void) {
    return table;
}

const struct statement *statement_for(uint16_t request, uint32_t *number) {
    for (uint32_t i = 0; table[i].sql != NULL; i++) {
        if (table[i].request == request) {
            *number = i;
            return &table[i];
        }
    }
    return NULL;
}
