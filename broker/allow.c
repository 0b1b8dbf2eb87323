#include "broker/allow.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zmq.h>

#include "broker/clock.h"

/* Files are stamped with the time of the kernel's last tick, so that a change after a reading may
 * have the stamp that the reading has seen. */
enum { TICK_NS_MAX = 20000000 };

const struct curve *allow_key(const struct allow_list *self, const char *public_key) {
    for (uint32_t i = 0; i < self->count; i++) {
        if (strcmp(self->rows[i].public_key, public_key) == 0) return &self->rows[i];
    }
    return NULL;
}

const struct curve *allow_name(const struct allow_list *self, const char *name) {
    for (uint32_t i = 0; i < self->count; i++) {
        if (strcmp(self->rows[i].name, name) == 0) return &self->rows[i];
    }
    return NULL;
}

static bool add(struct allow_list *self, const struct curve *row, const char *path, char *error,
                size_t size) {
    const char *why = NULL;
    if (self->count == ALLOW_MAX)
        why = "too many keys";
    else if (allow_key(self, row->public_key) != NULL || allow_name(self, row->name) != NULL)
        why = "stands there twice";
    if (why != NULL) {
        snprintf(error, size, "%s: %s: %s", path, row->name, why);
        return false;
    }
    self->rows[self->count++] = *row;
    return true;
}

static bool passed_over(const char *name) {
    size_t size = strlen(name);
    return name[0] == '.' || (size > 7 && strcmp(name + size - 7, "_secret") == 0);
}

static bool read_folder(struct allow_list *self, const char *path, char *error, size_t size) {
    bool good = true;
    DIR *folder = opendir(path);
    if (folder == NULL) {
        snprintf(error, size, "%s: %s", path, strerror(errno));
        return false;
    }
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char file[1024];
        struct curve row;
        if (passed_over(entry->d_name)) continue;
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        if (!curve_load_public(file, &row, error, size) || !add(self, &row, path, error, size))
            good = false;
    }
    closedir(folder);
    return good;
}

static bool read_line(struct allow_list *self, char *line, const char *path, uint32_t number,
                      char *error, size_t size) {
    struct curve row = { 0 };
    uint8_t raw[32];
    char *rest = NULL;
    const char *key = strtok_r(line, " \t\r\n", &rest);
    if (key == NULL || key[0] == '#') return true;
    const char *name = strtok_r(NULL, " \t\r\n", &rest), *role = strtok_r(NULL, " \t\r\n", &rest);
    if (role == NULL) role = "";
    if (strlen(key) != CURVE_KEY_SIZE - 1 || zmq_z85_decode(raw, key) == NULL || name == NULL ||
        !curve_name_valid(name, CURVE_NAME_SIZE - 1) || strlen(role) >= CURVE_ROLE_SIZE ||
        curve_published(key)) {
        snprintf(error, size,
                 "%s:%u: must be a public key (not a published one), a name and a role", path,
                 number);
        return false;
    }
    snprintf(row.public_key, sizeof row.public_key, "%s", key);
    snprintf(row.name, sizeof row.name, "%s", name);
    snprintf(row.role, sizeof row.role, "%s", role);
    return add(self, &row, path, error, size);
}

static bool read_file(struct allow_list *self, const char *path, char *error, size_t size) {
    char line[512];
    bool good = true;
    uint32_t number = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        snprintf(error, size, "%s: %s", path, strerror(errno));
        return false;
    }
    while (fgets(line, sizeof line, file) != NULL)
        if (!read_line(self, line, path, ++number, error, size)) good = false;
    fclose(file);
    return good;
}

bool allow_read(struct allow_list *self, const char *path, char *error, size_t error_size) {
    struct stat status;
    self->count = 0;
    if (stat(path, &status) != 0) {
        snprintf(error, error_size, "%s: %s", path, strerror(errno));
        return false;
    }
    return S_ISDIR(status.st_mode) ? read_folder(self, path, error, error_size)
                                   : read_file(self, path, error, error_size);
}

/* ---- A list that is kept ---- */

static struct allow_stamp stamp_of(const char *path) {
    struct stat status;
    if (stat(path, &status) != 0) return (struct allow_stamp){ 0 };
    int64_t changed = status.st_ctim.tv_sec * INT64_C(1000000000) + status.st_ctim.tv_nsec;
    return (struct allow_stamp){ changed, status.st_ino };
}

static void read_again(struct allow_kept *self, const char *path, int64_t now) {
    self->read_at = now;
    self->read_on = clock_now();
    self->stamp = stamp_of(path); /* Before the reading: what comes during it is seen next time. */
    self->error[0] = 0;
    self->whole = allow_read(&self->list, path, self->error, sizeof self->error);
}

static bool may_have_changed(const struct allow_kept *self, const char *path) {
    struct allow_stamp stamp = stamp_of(path);
    int64_t age = self->read_on - self->stamp.changed;
    return stamp.changed != self->stamp.changed || stamp.inode != self->stamp.inode ||
           (age < TICK_NS_MAX && age > -TICK_NS_MAX);
}

const struct curve *allow_find(struct allow_kept *self, const char *path, const char *public_key,
                               int64_t now, int64_t life) {
    if (self->read_at == 0 || now - self->read_at > life || now < self->read_at)
        read_again(self, path, now);
    const struct curve *row = allow_key(&self->list, public_key);
    if (row != NULL || !may_have_changed(self, path)) return row;
    read_again(self, path, now);
    return allow_key(&self->list, public_key);
}
