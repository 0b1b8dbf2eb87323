/* Small files, read whole; secrets among them. */
#include "config/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool config_refuse(struct config_error *error, const char *format, ...) {
    va_list list;
    va_start(list, format);
    (void)vsnprintf(error->text, sizeof error->text, format, list);
    va_end(list);
    return false;
}

static bool read_all(int fd, const char *file, char *out, size_t size, size_t *length,
                     struct config_error *error) {
    *length = 0;
    for (;;) {
        ssize_t got = read(fd, out + *length, size - *length);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            return config_refuse(error, "%s: could not be read: %s", file, strerror(errno));
        if (got == 0) break;
        *length += (size_t)got;
        if (*length == size)
            return config_refuse(error, "%s: is longer than %zu bytes", file, size - 1);
    }
    out[*length] = '\0';
    return true;
}

bool config_file_read(const char *file, char *out, size_t size, size_t *length, unsigned *mode,
                      struct config_error *error) {
    *length = 0;
    if (mode != NULL) *mode = 0;
    /* Without O_NONBLOCK a pipe put there by mistake would hang the start. */
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return config_refuse(error, "%s: could not be opened: %s", file, strerror(errno));
    struct stat status = { 0 };
    bool good;
    if (fstat(fd, &status) != 0)
        good = config_refuse(error, "%s: could not be examined: %s", file, strerror(errno));
    else if (!S_ISREG(status.st_mode))
        good = config_refuse(error, "%s: is not a regular file", file);
    else
        good = read_all(fd, file, out, size, length, error);
    if (mode != NULL) *mode = status.st_mode & 07777U;
    (void)close(fd);
    if (good && memchr(out, '\0', *length) != NULL)
        return config_refuse(error, "%s: holds a NUL byte", file);
    return good;
}

bool config_secret(const char *file, char out[CONFIG_SECRET_SIZE], struct config_error *error) {
    size_t length = 0;
    unsigned mode = 0;
    bool good = config_file_read(file, out, CONFIG_SECRET_SIZE, &length, &mode, error);
    if (good && (mode & S_IWOTH) != 0)
        good = config_refuse(error, "%s: must not be writable by everybody", file);
    if (good) {
        while (length > 0 && (out[length - 1] == '\n' || out[length - 1] == '\r'))
            length--;
        out[length] = '\0';
        if (length == 0) good = config_refuse(error, "%s: is empty", file);
    }
    if (!good) explicit_bzero(out, CONFIG_SECRET_SIZE);
    return good;
}
