/* status: the figures of /metrics, one row each. */
#include <stdlib.h>
#include <string.h>

#include "broker/door/door.h"

void door_status(struct port *self, const struct door_client *client, bool buckets) {
    static char text[1 << 20];
    uint32_t rows = 0;
    metrics_write(text, sizeof text);
    for (char *line = text, *next; line != NULL && *line != 0; line = next) {
        next = strchr(line, '\n');
        if (next != NULL) *next++ = 0;
        char *space = strrchr(line, ' ');
        if (line[0] == '#' || space == NULL) continue;
        if (!buckets && strstr(line, "_bucket{") != NULL) continue;
        struct status_row row = { .name = { line, (uint32_t)(space - line) },
                                  .value = (int64_t)strtod(space + 1, NULL) };
        if (row.name.size > 120) continue;
        door_send(self, client,
                  &(struct message){ { .type = MSG_status_row, .from = PORT_door }, &row });
        rows++;
    }
    struct rows_end end = { .what = MSG_status_get, .count = rows };
    door_send(self, client, &(struct message){ { .type = MSG_rows_end, .from = PORT_door }, &end });
}
