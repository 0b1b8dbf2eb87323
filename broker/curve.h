/* Key pairs for CURVE: made, read, and put on sockets.
 *
 * A pair is two files as czmq's zcert keeps them: NAME with the public key, which may be shown to
 * everybody, and NAME_secret with both, which only its owner may read.  The name inside is who the
 * holder is to the others: a node's name, an operator's name; a role may stand beside it.  The test
 * keys that ZeroMQ's manual prints are everybody's: they are refused wherever a key is read. */
#ifndef CURVE_H
#define CURVE_H

#include <stdbool.h>
#include <stddef.h>

enum { CURVE_KEY_SIZE = 41, CURVE_NAME_SIZE = 65, CURVE_ROLE_SIZE = 17 };

/* All zero = there are no keys.  Plain memory; wipe it after use when it holds a secret. */
struct curve {
    char name[CURVE_NAME_SIZE]; /* Letters, digits, '.', '_' and '-'. */
    char role[CURVE_ROLE_SIZE]; /* The same, or empty. */
    char public_key[CURVE_KEY_SIZE];
    char secret_key[CURVE_KEY_SIZE]; /* Empty when only the public key was read. */
};

/* Makes DIR/NAME and DIR/NAME_secret (mode 0600), and DIR if it is not there.  Refuses to replace
 * either file.  False: a sentence in `error`. */
bool curve_make(const char *dir, const char *name, const char *role, char *error,
                size_t error_size);

/* Reads a pair, given the name of its public file; the secret one must be its owner's alone. */
bool curve_load(const char *file, struct curve *self, char *error, size_t error_size);

/* Reads a public file: secret_key stays empty. */
bool curve_load_public(const char *file, struct curve *self, char *error, size_t error_size);

/* One of the pairs that are printed in zmq_curve(7)? */
bool curve_published(const char *public_key);

/* 1 to 64 (or `most`) letters, digits, '.', '_' and '-', not starting with '.'? */
bool curve_name_valid(const char *name, size_t most);

/* Must connections to this endpoint be encrypted?  tcp must, except on a loopback address when
 * `loopback_plain` says so; ipc and inproc need not. */
bool curve_needed(const char *endpoint, bool loopback_plain);

/* Before bind: clients must show a key that the ZAP handler (broker/zap.h) of the socket's context
 * allows in this domain; without a handler nobody gets in. */
bool curve_serve(void *socket, const struct curve *self, const char *domain);

/* Before connect: who we are, and the public key the server must have. */
bool curve_connect(void *socket, const struct curve *self, const char *server_key);

#endif
