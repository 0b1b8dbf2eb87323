/* A socket on loopback that a test listens on, and one HTTP request at a time from it. */
#ifndef TESTS_LIB_LISTENER_H
#define TESTS_LIB_LISTENER_H

#include <stdint.h>

enum { LISTENER_REQUEST_SIZE = 4096, LISTENER_PATIENCE_MS = 8000 };

/* Listens on a free port of 127.0.0.1.  The descriptor is the caller's; -1: could not. */
int listener_open(uint16_t *port);

/* Waits for a connection and reads one whole request into `request`, terminated; *body points into
 * it.  Returns the connection, which is the caller's; -1: none came within the patience, or it was
 * cut off or too long. */
int listener_take(int listener, char request[LISTENER_REQUEST_SIZE], const char **body);

#endif
