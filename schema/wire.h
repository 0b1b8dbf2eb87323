/* Messages as msgpack.  A body is an array in field order; trailing fields that are absent may be
 * left out, trailing elements that the reader does not know are skipped.  A message on the wire is
 * [head array, body array]; a frame is one or more messages one behind the other. */
#ifndef WIRE_H
#define WIRE_H

#include "schema/schema.h"

enum { WIRE_DEPTH_MAX = 8, WIRE_OBJECTS_MAX = 1000 };

/* Looks at the bytes without allocating: exactly one msgpack value of at most `objects_max` objects
 * and WIRE_DEPTH_MAX levels, container counts within the bytes that remain, no ext, no map with
 * more entries than bytes, valid UTF-8 in strings.  Returns its size in bytes, or 0. */
size_t wire_scan(const uint8_t *from, size_t size, uint32_t objects_max);

/* Bytes written, or 0 when `capacity` is too small. */
size_t wire_encode(const struct message_type *type, const void *body, uint8_t *to, size_t capacity);

/* Reads one body that fills `size` exactly, and validates it.  Texts of the body point into `from`.
 * On any problem the body is unspecified; *culprit is the row concerned or NULL. */
enum problem wire_decode(const struct message_type *type, const uint8_t *from, size_t size,
                         void *body, const struct field **culprit);

/* Elements of the array that a scanned body is; 0 when it is something else. */
uint32_t wire_count(const uint8_t *from, size_t size);

/* Largest encoding of a body of this type whose texts have their present sizes. */
size_t wire_bound(const struct message_type *type, const void *body);

#endif
