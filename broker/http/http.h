/* The HTTP port: shoppers' requests become messages to the bridge, answers become responses.
 *
 * One event loop of libevent's with non-blocking sockets; HTTP/1.1 is read by parse.h.  The port
 * waits for the host (port_type.wait): libevent does not give away the descriptor it sleeps on, so
 * the host's other descriptors wait inside the port's loop.
 *
 * head.request of a message is <generation of the connection's request> << 32 | <connection>, so an
 * answer that comes after its client has gone is recognised and dropped.  At most one request of a
 * connection is under way; pipelined ones wait in its buffer.
 *
 * Bounds, and the answer at each: http.connections_max (closed at once), http.inflight_max (503),
 * http.headers_max (431), http.body_max (413), http.deadline from a request's first byte to its
 * last (408, closed) and for the client to take a response (cut off), http.answer_max for an answer
 * from inside (503), HTTP_IDLE_S between requests (closed), HTTP_LIST_MAX for a list (500). */
#ifndef HTTP_H
#define HTTP_H

#include "broker/port.h"

enum {
    HTTP_IDLE_S = 75,
    HTTP_LINGER_S = 1, /* For a client to read the last response before its end is cut. */
    HTTP_LIST_MAX = 512 * 1024,
};

/* The TCP port that http.listen (or admin.listen) got; 0 when it is not open. */
uint16_t http_tcp_port(const struct port *self, bool admin);

#endif
