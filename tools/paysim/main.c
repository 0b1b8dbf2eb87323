/* paysim: a pretend payment provider on loopback, for demonstrations and tests. */
#include "tools/paysim/paysim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/listener.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/clock.h"

enum { BODY_MAX = 16384, HEADERS_MAX = 8192, IDLE_S = 300, OPTIONS_MAX = 32, KNOB_OPTION = 1000 };

struct options {
    const char *listen;
    const char *merchant;
    const char *secret_file;
    uint64_t seed;
    bool with_parent;
};

double paysim_random(struct paysim *self) {
    uint64_t mixed = self->random += UINT64_C(0x9e3779b97f4a7c15);

    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    mixed ^= mixed >> 31;
    return (double)(mixed >> 11) / (double)(UINT64_C(1) << 53);
}

int64_t paysim_seconds(void) {
    return clock_now() / INT64_C(1000000000);
}

/* ---- Requests -----------------------------------------------------------------------------------
 */

static void control_request(struct paysim *self, struct evhttp_request *request) {
    const char *bad = "";

    if (evhttp_request_get_command(request) == EVHTTP_REQ_POST) {
        json_t *object = body_object(request);
        if (object == NULL) return;
        bool good = knobs_set_json(&self->knobs, object, &bad);
        json_decref(object);
        if (!good) {
            json_t *body = problem("bad_request", "a member is unknown or out of bounds");
            json_object_set_new(body, "field", json_string(bad));
            answer(request, 400, body);
            return;
        }
    }
    answer(request, 200, knobs_json(&self->knobs));
}

static void on_request(struct evhttp_request *request, void *context) {
    struct paysim *self = context;
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
    const char *rest = NULL;

    if (path == NULL) path = "";
    if ((rest = path_after(path, "/v1/")) != NULL) {
        merchant_request(self, request, rest);
    } else if ((rest = path_after(path, "/pay/")) != NULL) {
        shopper_request(self, request, rest);
    } else if (strcmp(path, "/control") == 0) {
        control_request(self, request);
    } else if (strcmp(path, "/ledger") == 0) {
        ledger_request(self, request);
    } else {
        answer(request, 404, problem("no_such_path", "see paysim --help"));
    }
}

/* ---- Start and stop
 * ------------------------------------------------------------------------------ */

/* A socket of our own: accepted sockets inherit TCP_NODELAY from it, which evhttp does not set. */
static int listen_on(const char *where, char address[64]) {
    struct sockaddr_in name = { .sin_family = AF_INET };
    socklen_t size = sizeof name;
    char host[INET_ADDRSTRLEN] = "";
    const char *colon = strchr(where, ':');
    const int yes = 1;
    char *end = NULL;

    if (colon == NULL || (size_t)(colon - where) >= sizeof host) return -1;
    memcpy(host, where, (size_t)(colon - where));
    errno = 0;
    long port = strtol(colon + 1, &end, 10);
    if (colon[1] == '\0' || *end != '\0' || errno != 0 || port < 0 || port > UINT16_MAX) return -1;
    if (inet_pton(AF_INET, host, &name.sin_addr) != 1) return -1;
    if ((ntohl(name.sin_addr.s_addr) >> 24) != 127) return -1; /* Loopback only. */
    name.sin_port = htons((uint16_t)port);

    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) != 0 ||
        bind(fd, (const struct sockaddr *)&name, sizeof name) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&name, &size) != 0) {
        close(fd);
        return -1;
    }
    (void)snprintf(address, 64, "%s:%u", host, ntohs(name.sin_port));
    return fd;
}

static bool read_secret(struct paysim *self, const char *path) {
    FILE *file = fopen(path, "re");

    if (file == NULL) return false;
    self->secret_size = fread(self->secret, 1, sizeof self->secret, file);
    bool whole = feof(file) != 0 && ferror(file) == 0;
    (void)fclose(file);
    /* The line end that an editor leaves is no part of the secret. */
    while (self->secret_size > 0 && (self->secret[self->secret_size - 1] == '\n' ||
                                     self->secret[self->secret_size - 1] == '\r')) {
        self->secret_size--;
    }
    return whole && self->secret_size > 0 && self->secret_size <= SECRET_MAX;
}

static void on_signal(evutil_socket_t fd, short what, void *context) {
    (void)fd;
    (void)what;
    (void)event_base_loopbreak(context);
}

static int serve(struct paysim *self, int fd) {
    struct event *term = NULL;
    struct event *interrupt = NULL;
    int status = 1;

    self->base = event_base_new();
    self->http = self->base == NULL ? NULL : evhttp_new(self->base);
    if (self->http == NULL) goto out;
    self->callbacks = callbacks_open(self);
    self->answers = answers_open(self);
    term = evsignal_new(self->base, SIGTERM, on_signal, self->base);
    interrupt = evsignal_new(self->base, SIGINT, on_signal, self->base);
    struct evconnlistener *listener = evconnlistener_new(
        self->base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (self->callbacks == NULL || self->answers == NULL || term == NULL || interrupt == NULL ||
        listener == NULL || evhttp_bind_listener(self->http, listener) == NULL) {
        goto out;
    }
    evhttp_set_gencb(self->http, on_request, self);
    evhttp_set_max_body_size(self->http, BODY_MAX);
    evhttp_set_max_headers_size(self->http, HEADERS_MAX);
    evhttp_set_timeout(self->http, IDLE_S);
    evhttp_set_allowed_methods(self->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST);
    if (event_add(term, NULL) != 0 || event_add(interrupt, NULL) != 0) goto out;

    (void)printf("paysim listening on %s\n", self->address);
    (void)fflush(stdout);
    status = event_base_dispatch(self->base) < 0 ? 1 : 0;
out:
    answers_close(&self->answers);
    callbacks_close(&self->callbacks);
    if (self->http != NULL) evhttp_free(self->http);
    if (term != NULL) event_free(term);
    if (interrupt != NULL) event_free(interrupt);
    if (self->base != NULL) event_base_free(self->base);
    return status;
}

/* ---- Options
 * -------------------------------------------------------------------------------------- */

static void help(void) {
    (void)printf(
        "Usage: paysim --secret-file FILE [OPTION]...\n"
        "A pretend payment provider on this machine.\n\n"
        "  --listen ADDRESS:PORT    127.0.0.1:8090; port 0 takes a free one and prints it\n"
        "  --merchant NAME          the one merchant it knows (doorbuster)\n"
        "  --secret-file FILE       secret that signs requests and callbacks, 1 to 512 bytes\n"
        "  --seed N                 numbers and dice (1)\n"
        "  --with-parent            stop when the process that started it ends\n\n"
        "Misbehaviour, also as members of POST /control:\n");
    for (const struct knob *row = knobs_rows(); row->name != NULL; row++) {
        (void)printf("  %-20s %s (%g to %g)\n", row->name, row->doc, row->lo, row->hi);
    }
    (void)printf("\nPOST /v1/prepay  GET /v1/payments/ID  POST /v1/payments/ID/close\n"
                 "POST /v1/refunds  GET|POST /pay/TXN  GET|POST /control  GET /ledger\n");
}

/* --callback-copies is the option of callback_copies. */
static size_t add_knobs(struct option *long_options, size_t count, char names[][32]) {
    int at = 0;

    for (const struct knob *row = knobs_rows(); row->name != NULL && count < OPTIONS_MAX - 1;
         row++) {
        (void)snprintf(names[at], 32, "%s", row->name);
        for (char *c = names[at]; *c != '\0'; c++)
            *c = *c == '_' ? '-' : *c;
        long_options[count++] =
            (struct option){ names[at],
                             row->kind == KNOB_boolean ? optional_argument : required_argument,
                             NULL, KNOB_OPTION + at };
        at++;
    }
    return count;
}

/* -1: go on; else the exit status. */
static int read_options(int argc, char **argv, struct options *out, struct knobs *knobs) {
    struct option long_options[OPTIONS_MAX] = {
        { "listen", required_argument, NULL, 'l' },
        { "merchant", required_argument, NULL, 'm' },
        { "secret-file", required_argument, NULL, 'k' },
        { "seed", required_argument, NULL, 's' },
        { "with-parent", no_argument, NULL, 'p' },
        { "help", no_argument, NULL, 'h' },
    };
    char names[OPTIONS_MAX][32];
    char *end = NULL;

    (void)add_knobs(long_options, 6, names);
    for (;;) {
        int option = getopt_long(argc, argv, "", long_options, NULL);
        if (option == -1) break;
        switch (option) {
        case 'l': out->listen = optarg; break;
        case 'm': out->merchant = optarg; break;
        case 'k': out->secret_file = optarg; break;
        case 'p': out->with_parent = true; break;
        case 'h': help(); return 0;
        case 's':
            out->seed = strtoull(optarg, &end, 10);
            if (*optarg != '\0' && *end == '\0') break;
            (void)fprintf(stderr, "paysim: --seed is a number\n");
            return 2;
        default:
            if (option >= KNOB_OPTION &&
                knobs_set_text(knobs, &knobs_rows()[option - KNOB_OPTION], optarg)) {
                break;
            }
            if (option >= KNOB_OPTION) {
                (void)fprintf(stderr, "paysim: --%s: no such value\n", names[option - KNOB_OPTION]);
            }
            return 2;
        }
    }
    if (optind == argc) return -1;
    (void)fprintf(stderr, "paysim: unexpected '%s'\n", argv[optind]);
    return 2;
}

int main(int argc, char **argv) {
    static struct paysim self;
    struct options options = { .listen = "127.0.0.1:8090", .merchant = "doorbuster", .seed = 1 };
    pid_t parent = getppid();

    knobs_init(&self.knobs);
    int status = read_options(argc, argv, &options, &self.knobs);
    if (status >= 0) return status;
    if (options.with_parent) {
        /* Asked for after the parent may have gone already. */
        if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent) return 1;
    }
    size_t merchant_size = strlen(options.merchant);
    if (merchant_size == 0 || merchant_size >= sizeof self.merchant) {
        (void)fprintf(stderr, "paysim: --merchant has 1 to %d bytes\n", MERCHANT_SIZE - 1);
        return 2;
    }
    memcpy(self.merchant, options.merchant, merchant_size + 1);
    if (options.secret_file == NULL || !read_secret(&self, options.secret_file)) {
        (void)fprintf(stderr, "paysim: --secret-file names no file of 1 to %d bytes\n", SECRET_MAX);
        return 2;
    }
    self.random = options.seed;
    if (sodium_init() < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR) return 1;
    self.books = books_open(options.seed);
    int fd = self.books == NULL ? -1 : listen_on(options.listen, self.address);
    if (fd < 0) {
        (void)fprintf(stderr, "paysim: could not listen on %s (a free port of 127.0.0.0/8?)\n",
                      options.listen);
        books_close(&self.books);
        return 1;
    }
    status = serve(&self, fd);
    books_close(&self.books);
    sodium_memzero(self.secret, sizeof self.secret);
    return status;
}
