/* Dead letters that are messages: their bytes are kept, and go no further than here. */
#include <stdlib.h>
#include <string.h>

#include "broker/door/door.h"
#include "broker/frame.h"
#include "broker/log.h"

/* As traces are printed: secrets and addresses as ***. */
static struct text in_words(struct batch *memory, const struct message *letter) {
    char *line = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&line, &size);
    if (to == NULL) return (struct text){ 0 };
    message_print(to, message_type((enum message_id)letter->head.type), letter->body);
    fclose(to);
    enum { MOST = 4000 };
    while (size > MOST || !utf8_valid(line, size, true))
        size = size > MOST ? MOST : size - 1;
    char *copy = batch_memory(memory, size + 1);
    memcpy(copy, line, size);
    free(line);
    return (struct text){ copy, (uint32_t)size };
}

static bool goes_to_an_actor(const struct message *letter) {
    return letter->head.to > NOBODY && !address_is_port((enum address)letter->head.to);
}

/* PostgreSQL keeps numbers where it does not know the names. */
static uint32_t number_in(struct text text) {
    uint32_t number = 0;
    for (uint32_t i = 0; i < text.size && i < 6; i++) {
        if (text.at[i] < '0' || text.at[i] > '9') return 0;
        number = number * 10 + (uint32_t)(text.at[i] - '0');
    }
    return number;
}

static void name_numbers(struct dead_row *row) {
    uint32_t actor = number_in(row->actor), message = number_in(row->message);
    const struct message_type *type = message_type((enum message_id)message);
    if (actor > NOBODY && actor < ADDRESS_COUNT)
        row->actor = text_of(address_name((enum address)actor));
    if (type != NULL) row->message = text_of(type->name);
}

void door_letter(struct port *self, const struct door_request *request, const struct message *in,
                 struct outbox *out) {
    struct dead_row row = *BODY(in, dead_row);
    const struct message *letter = NULL;
    batch_reset(&self->letter);
    if (row.frame.size > 0 &&
        frame_read((const uint8_t *)row.frame.at, row.frame.size, &self->letter))
        letter = &self->letter.items[0];
    if (letter != NULL) row.content = in_words(&self->letter, letter);
    if (letter != NULL && request->command->message == MSG_dead_retry && goes_to_an_actor(letter)) {
        log_info("door", "dead letter goes out again", LOG_I64("letter", row.letter_id),
                 LOG_TEXT("to", address_name((enum address)letter->head.to)), LOG_END);
        outbox_forward(out, (enum address)letter->head.to, letter);
    }
    row.frame = (struct text){ 0 };
    name_numbers(&row);
    batch_append(&self->letter, &(struct message){ in->head, &row });
}
