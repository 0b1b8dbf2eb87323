#include "broker/curve.h"

#include <czmq.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <zmq.h>

#include "broker/crash.h"
#include "broker/keys.h"

enum { FILE_MAX = 65536 };

bool curve_published(const char *public_key) {
    static const char *const printed[] = { "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
                                           "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7" };
    for (size_t i = 0; i < sizeof printed / sizeof printed[0]; i++) {
        if (strcmp(printed[i], public_key) == 0) return true;
    }
    return false;
}

bool curve_name_valid(const char *name, size_t most) {
    size_t size = strlen(name);
    return size > 0 && size <= most && name[0] != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               size;
}

static bool complain(char *error, size_t size, const char *file, const char *what) {
    snprintf(error, size, "%s: %s", file, what);
    return false;
}

/* ---- Making ---- */

static bool write_file(const char *file, mode_t mode, const struct curve *curve, bool secret) {
    char text[512];
    int size =
        snprintf(text, sizeof text,
                 "#   %s\n\nmetadata\n    name = \"%s\"\n%s%s%scurve\n    public-key = "
                 "\"%s\"\n%s%s%s",
                 secret ? "A secret key: give it to nobody." : "A public key.", curve->name,
                 curve->role[0] ? "    role = \"" : "", curve->role, curve->role[0] ? "\"\n" : "",
                 curve->public_key, secret ? "    secret-key = \"" : "",
                 secret ? curve->secret_key : "", secret ? "\"\n" : "");
    char fresh[1200];
    snprintf(fresh, sizeof fresh, "%s.%ld", file, (long)getpid());
    unlink(fresh); /* What a process of this number left when it was killed. */
    int to = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    CRASH_POINT(curve_made);
    bool good = to >= 0 && write(to, text, (size_t)size) == size && fsync(to) == 0;
    CRASH_POINT(curve_written);
    good = good && link(fresh, file) == 0;
    int problem = errno;
    CRASH_POINT(curve_named);
    if (to >= 0) {
        close(to);
        unlink(fresh); /* It got its name when it was complete, or not at all. */
    }
    sodium_memzero(text, sizeof text);
    errno = problem;
    return good;
}

static bool read_pair(const char *file, bool secret, struct curve *self, char *error, size_t size);

bool curve_make(const char *dir, const char *name, const char *role, char *error,
                size_t error_size) {
    struct curve curve = { 0 };
    char file[1024], secret[1040];
    if (!curve_name_valid(name, CURVE_NAME_SIZE - 1) ||
        (role[0] != 0 && !curve_name_valid(role, CURVE_ROLE_SIZE - 1))) {
        return complain(error, error_size, name,
                        "names and roles are letters, digits, '.', '_' and '-'");
    }
    snprintf(curve.name, sizeof curve.name, "%s", name);
    snprintf(curve.role, sizeof curve.role, "%s", role);
    if (snprintf(file, sizeof file, "%s/%s", dir, name) >= (int)sizeof file) {
        return complain(error, error_size, dir, "the path is too long");
    }
    snprintf(secret, sizeof secret, "%s_secret", file);
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return complain(error, error_size, dir, strerror(errno));
    if (zmq_curve_keypair(curve.public_key, curve.secret_key) != 0)
        return complain(error, error_size, file, "this libzmq knows no CURVE");
    bool good;
    if (access(secret, F_OK) == 0 && access(file, F_OK) != 0) {
        /* What a crash between the two has left: the secret file has both keys. */
        char asked[CURVE_ROLE_SIZE];
        snprintf(asked, sizeof asked, "%s", role);
        if (!read_pair(secret, true, &curve, error, error_size)) return false;
        good = strcmp(asked, curve.role) == 0;
        if (!good) errno = EEXIST;
    } else {
        good = write_file(secret, 0600, &curve, true);
    }
    good = good && write_file(file, 0644, &curve, false);
    sodium_memzero(&curve, sizeof curve);
    return good || complain(error, error_size, file, strerror(errno));
}

/* ---- Reading ---- */

static bool take(zconfig_t *root, const char *path, char *out, size_t size) {
    const char *value = zconfig_get(root, path, "");
    if (strlen(value) >= size) return false;
    snprintf(out, size, "%s", value);
    return true;
}

static bool key_valid(const char *key) {
    uint8_t raw[32];
    return strlen(key) == CURVE_KEY_SIZE - 1 && zmq_z85_decode(raw, key) != NULL;
}

static bool read_pair(const char *file, bool secret, struct curve *self, char *error, size_t size) {
    struct stat status;
    memset(self, 0, sizeof *self);
    if (stat(file, &status) != 0) return complain(error, size, file, strerror(errno));
    if (!S_ISREG(status.st_mode) || status.st_size > FILE_MAX)
        return complain(error, size, file, "is no key file");
    if (secret && !keys_private(file, status.st_mode))
        return complain(error, size, file, "must be readable by its owner only");
    /* Not zconfig_load(): what is no configuration costs it memory that nobody frees. */
    zchunk_t *text = zchunk_slurp(file, FILE_MAX);
    zconfig_t *root = text != NULL ? zconfig_chunk_load(text) : NULL;
    zchunk_destroy(&text);
    if (root == NULL) return complain(error, size, file, "is no key file");
    bool good =
        take(root, "metadata/name", self->name, sizeof self->name) &&
        take(root, "metadata/role", self->role, sizeof self->role) &&
        take(root, "curve/public-key", self->public_key, sizeof self->public_key) &&
        (!secret || take(root, "curve/secret-key", self->secret_key, sizeof self->secret_key));
    zconfig_destroy(&root);
    if (self->name[0] == 0) { /* zcert writes no name by itself: the file's. */
        const char *slash = strrchr(file, '/');
        snprintf(self->name, sizeof self->name, "%s", slash != NULL ? slash + 1 : file);
    }
    if (!good || !key_valid(self->public_key) || (secret && !key_valid(self->secret_key)))
        return complain(error, size, file, "holds no CURVE key");
    if (!curve_name_valid(self->name, CURVE_NAME_SIZE - 1))
        return complain(error, size, file, "names are letters, digits, '.', '_' and '-'");
    if (curve_published(self->public_key))
        return complain(error, size, file, "is the test key printed in ZeroMQ's manual");
    return true;
}

bool curve_load(const char *file, struct curve *self, char *error, size_t error_size) {
    char secret[1040], derived[CURVE_KEY_SIZE];
    snprintf(secret, sizeof secret, "%s_secret", file);
    if (!read_pair(secret, true, self, error, error_size)) return false;
    if (zmq_curve_public(derived, self->secret_key) != 0 || strcmp(derived, self->public_key) != 0)
        return complain(error, error_size, secret, "its two keys do not belong together");
    return true;
}

bool curve_load_public(const char *file, struct curve *self, char *error, size_t error_size) {
    return read_pair(file, false, self, error, error_size);
}

/* ---- Sockets ---- */

bool curve_needed(const char *endpoint, bool loopback_plain) {
    if (strncmp(endpoint, "tcp://", 6) != 0) return false;
    const char *host = endpoint + 6;
    /* 127.x.y.z and nothing that only begins like it. */
    bool loopback = (strncmp(host, "127.", 4) == 0 && host[strspn(host, "0123456789.")] == ':') ||
                    strncmp(host, "[::1]:", 6) == 0 || strncmp(host, "localhost:", 10) == 0;
    return !(loopback && loopback_plain);
}

/* Not in zmq.h without its draft API, but in the library: without it a socket whose context has no
 * ZAP handler takes any key.  tests/unit/test_zap.c would notice if a library did not know it. */
enum { ENFORCE_DOMAIN = 93 };

bool curve_serve(void *socket, const struct curve *self, const char *domain) {
    int one = 1;
    return zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &one, sizeof one) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, self->secret_key, CURVE_KEY_SIZE) == 0 &&
           zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, domain, strlen(domain)) == 0 &&
           zmq_setsockopt(socket, ENFORCE_DOMAIN, &one, sizeof one) == 0;
}

bool curve_connect(void *socket, const struct curve *self, const char *server_key) {
    return zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server_key, CURVE_KEY_SIZE) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, self->public_key, CURVE_KEY_SIZE) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, self->secret_key, CURVE_KEY_SIZE) == 0;
}
