/* The other end of a request, for tests. */
#include "tests/lib/listener.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int listener_open(uint16_t *port) {
    struct sockaddr_in name = { .sin_family = AF_INET };
    socklen_t size = sizeof name;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0) return -1;
    if (bind(fd, (struct sockaddr *)&name, sizeof name) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&name, &size) != 0) {
        (void)close(fd);
        return -1;
    }
    *port = ntohs(name.sin_port);
    return fd;
}

int listener_take(int listener, char request[LISTENER_REQUEST_SIZE], const char **body) {
    struct pollfd fd = { .fd = listener, .events = POLLIN };
    size_t size = 0;
    size_t whole = 0;

    if (poll(&fd, 1, LISTENER_PATIENCE_MS) != 1) return -1;
    int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    while (peer >= 0 && (whole == 0 || size < whole)) {
        ssize_t got = recv(peer, request + size, LISTENER_REQUEST_SIZE - 1 - size, 0);
        if (got <= 0) {
            (void)close(peer);
            return -1;
        }
        size += (size_t)got;
        request[size] = '\0';
        const char *end = strstr(request, "\r\n\r\n");
        if (end == NULL) continue;
        const char *length = strcasestr(request, "Content-Length: ");
        *body = end + 4;
        whole = (size_t)(*body - request);
        if (length != NULL) whole += strtoul(length + 16, NULL, 10);
    }
    return peer;
}
