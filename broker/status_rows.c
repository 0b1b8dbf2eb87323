#include "broker/status_rows.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_SIZE = 120 };

static bool read_line(char *line, bool buckets, struct status_row *row) {
    char *space = strrchr(line, ' ');
    if (line[0] == '#' || space == NULL || space - line > NAME_MAX_SIZE) return false;
    if (!buckets && strstr(line, "_bucket{") != NULL) return false;
    const char *value = space + 1;
    *row = (struct status_row){ .name = { line, (uint32_t)(space - line) },
                                .value = (int64_t)strtod(value, NULL) };
    if (strchr(value, '.') != NULL) row->exact = text_of(value);
    return true;
}

bool status_rows_next(struct status_lines *self, struct status_row *row) {
    while (self->next != NULL && *self->next != 0) {
        char *line = self->next;
        self->next = strchr(line, '\n');
        if (self->next != NULL) *self->next++ = 0;
        if (read_line(line, self->buckets, row)) return true;
    }
    return false;
}
