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
    batch_append(&self->letter, &(struct message){ in->head, &row });
}
