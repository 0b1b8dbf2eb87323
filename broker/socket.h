/* A ZeroMQ socket in a loop over descriptors, and what all our sockets have in common.
 *
 * ZMQ_FD is edge-triggered: it may stay silent while something waits, after a send as well as after
 * a receive.  So whoever polls it asks socket_readable() before each wait, and receives until there
 * is nothing. */
#ifndef SOCKET_H
#define SOCKET_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <zmq.h>

/* False: the socket does not take this option or value. */
bool socket_set(void *socket, int option, int64_t value);

/* Binds; the file of an ipc socket is made with mode 0600 from the start.  False: errno says why.
 */
bool socket_bind_private(void *socket, const char *endpoint);

/* As poll() in port.h: fills one of `fds`, if there is room and a socket, and returns how many. */
uint32_t socket_poll(void *socket, struct pollfd *fds, uint32_t max);

/* Is there something to receive, whatever the descriptor says?  NULL: no. */
bool socket_readable(void *socket);

/* From a ROUTER: who sent it, and the last of the parts behind that, empty when there is none. Both
 * are initialised here and closed by the caller, in either case.  False: there is nothing. */
bool socket_receive(void *router, zmq_msg_t *identity, zmq_msg_t *part);

#endif
