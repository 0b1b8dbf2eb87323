#include "broker/socket.h"

#include <errno.h>
#include <sys/stat.h>

bool socket_set(void *socket, int option, int64_t value) {
    int number = (int)value;
    return zmq_setsockopt(socket, option, &number, sizeof number) == 0;
}

bool socket_bind_private(void *socket, const char *endpoint) {
    mode_t old = umask(0177);
    bool good = zmq_bind(socket, endpoint) == 0;
    int problem = errno;
    umask(old);
    errno = problem;
    return good;
}

uint32_t socket_poll(void *socket, struct pollfd *fds, uint32_t max) {
    size_t size = sizeof fds[0].fd;
    if (max == 0 || socket == NULL) return 0;
    fds[0].events = POLLIN;
    zmq_getsockopt(socket, ZMQ_FD, &fds[0].fd, &size);
    return 1;
}

bool socket_readable(void *socket) {
    int events = 0;
    size_t size = sizeof events;
    if (socket != NULL) zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size);
    return (events & ZMQ_POLLIN) != 0;
}

bool socket_receive(void *router, zmq_msg_t *identity, zmq_msg_t *part) {
    zmq_msg_init(identity);
    zmq_msg_init(part);
    if (zmq_msg_recv(identity, router, ZMQ_DONTWAIT) < 0) return false;
    bool more = zmq_msg_more(identity);
    /* All parts of a message are there when the first one is. */
    while (more && zmq_msg_recv(part, router, ZMQ_DONTWAIT) >= 0)
        more = zmq_msg_more(part);
    return true;
}
