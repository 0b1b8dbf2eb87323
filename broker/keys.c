#include "broker/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/crash.h"

/* One key, written whole and on disk.  The file is ours alone. */
static bool write_key(int file) {
    uint8_t key[SEAL_KEY_BYTES];
    char hex[2 * SEAL_KEY_BYTES + 1], line[128];
    randombytes_buf(key, sizeof key);
    sodium_bin2hex(hex, sizeof hex, key, sizeof key);
    int size =
        snprintf(line, sizeof line, "# id and 32 bytes in hex; the last line signs\n1 %s\n", hex);
    CRASH_POINT(keys_made);
    bool good = write(file, line, (size_t)size) == size && fsync(file) == 0;
    sodium_memzero(key, sizeof key);
    sodium_memzero(line, sizeof line);
    sodium_memzero(hex, sizeof hex);
    CRASH_POINT(keys_written);
    return good;
}

bool keys_make(const char *path) {
    char fresh[PATH_MAX];
    if (access(path, F_OK) == 0) return true;
    /* It gets its name when it is complete: half a key file would be refused for ever. */
    int size = snprintf(fresh, sizeof fresh, "%s.%ld", path, (long)getpid());
    if (size < 0 || (size_t)size >= sizeof fresh) return false;
    unlink(fresh); /* What a process of this number left when it was killed. */
    int file = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0) return false;
    bool good = write_key(file);
    good = close(file) == 0 && good;
    CRASH_POINT(keys_closed);
    /* Unlike rename(), link() leaves a file alone that another process has made meanwhile. */
    good = good && (link(fresh, path) == 0 || errno == EEXIST);
    CRASH_POINT(keys_named);
    unlink(fresh);
    return good;
}

/* systemd gives a credential's reader his right by an access list, whose mask shows as the group's
 * bits; the folder itself is closed to all others. */
static bool is_credential(const char *path) {
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    size_t size = folder == NULL ? 0 : strlen(folder);
    return size > 0 && strncmp(path, folder, size) == 0 && path[size] == '/';
}

bool keys_private(const char *path, mode_t mode) {
    mode_t others = is_credential(path) ? S_IWGRP | S_IXGRP | S_IRWXO : S_IRWXG | S_IRWXO;
    return (mode & others) == 0;
}

bool keys_load(const char *path, struct seal_keys *keys, char *error, size_t error_size) {
    char text[4096];
    uint32_t line = 0;
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        snprintf(error, error_size, "keys.file: could not open %s: %s", path, strerror(errno));
        return false;
    }
    bool private = fstat(file, &status) == 0 && keys_private(path, status.st_mode);
    ssize_t size = read(file, text, sizeof text);
    close(file);
    if (!private) {
        snprintf(error, error_size, "keys.file: %s must be readable by its owner only", path);
        return false;
    }
    if (size <= 0 || size == sizeof text) {
        snprintf(error, error_size, "keys.file: %s must have 1 to %d keys", path, SEAL_KEYS_MAX);
        return false;
    }
    bool good = seal_keys_parse(keys, text, (size_t)size, &line);
    sodium_memzero(text, sizeof text);
    if (!good)
        snprintf(error, error_size, "keys.file: %s:%u: must be an id and 64 hex digits", path,
                 line);
    return good;
}
