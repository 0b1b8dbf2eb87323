#include "broker/door/door.h"
#include "broker/status_rows.h"

void door_status(struct port *self, const struct door_client *client, bool buckets) {
    static char text[1 << 20];
    struct status_lines lines = { text, buckets };
    struct status_row row;
    uint32_t rows = 0;
    metrics_write(text, sizeof text);
    for (; status_rows_next(&lines, &row); rows++)
        door_send(self, client,
                  &(struct message){ { .type = MSG_status_row, .from = PORT_door }, &row });
    struct rows_end end = { .what = MSG_status_get, .count = rows };
    door_send(self, client, &(struct message){ { .type = MSG_rows_end, .from = PORT_door }, &end });
}
