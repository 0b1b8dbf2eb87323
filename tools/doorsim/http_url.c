#include "tools/doorsim/http_client.h"

#include <string.h>

/* Digits up to a port's bound; false otherwise. */
static bool read_port(const char *text, size_t length, uint16_t *port) {
    unsigned value = 0;
    if (length == 0 || length > 5) return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    if (value == 0 || value > UINT16_MAX) return false;
    *port = (uint16_t)value;
    return true;
}

bool http_url_read(const char *text, struct http_url *url) {
    static const char scheme[] = "http://";
    if (strncmp(text, scheme, sizeof scheme - 1) != 0) return false;
    const char *host = text + sizeof scheme - 1;
    size_t authority = strcspn(host, "/?#");
    const char *path = host + authority;
    const char *colon = memchr(host, ':', authority);
    size_t host_length = colon == NULL ? authority : (size_t)(colon - host);
    if (host_length == 0 || host_length >= sizeof url->host) return false;
    memcpy(url->host, host, host_length);
    url->host[host_length] = '\0';
    url->port = 80;
    if (colon != NULL && !read_port(colon + 1, authority - host_length - 1, &url->port)) {
        return false;
    }
    if (*path != '\0' && *path != '/') return false;
    if (strlen(path) >= sizeof url->path) return false;
    memcpy(url->path, *path == '\0' ? "/" : path, *path == '\0' ? 2 : strlen(path) + 1);
    return true;
}
