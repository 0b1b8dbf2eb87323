/* The HTTP port against hostile bytes: runs the port alone and lets tests/e2e/lib/http_hostile.py
 * talk to it over raw sockets.  With the argument `serve` it only serves, until its input ends. */
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/http_harness.h"

extern char **environ;

/* Something plausible for each request. */
static void serve(void *context, const struct message *in, struct outbox *out) {
    (void)context;
    if (in->head.type == MSG_order_create) {
        struct order_view *view = ANSWER(out, in, order_view);
        view->order_id = 42;
        view->state = order_state_awaiting_payment;
        view->quantity = BODY(in, order_create)->quantity;
    } else if (in->head.type == MSG_sale_list) {
        /* A large page, for readers that do not read. */
        enum { SIZE = 1000000 };
        char *body = outbox_text(out, SIZE);
        memset(body, ' ', SIZE);
        memcpy(body, "{}", 2);
        struct page *page = ANSWER(out, in, page);
        page->etag = text_of("v1");
        page->body = (struct text){ body, SIZE };
    } else {
        outbox_refuse(out, in, PROBLEM_not_found);
    }
}

static int run_script(const struct http_harness *harness) {
    char port[16], token[SEAL_TEXT_MAX + 1], python[] = "python3";
    char script[] = "tests/e2e/lib/http_hostile.py";
    char *arguments[] = { python, script, port, token, NULL };
    pid_t child;
    int status = 0;
    snprintf(port, sizeof port, "%u", harness->tcp_port);
    http_harness_token(harness, 600, token);
    if (posix_spawnp(&child, python, NULL, NULL, arguments, environ) != 0) return 1;
    if (waitpid(child, &status, 0) != child) return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv) {
    static struct http_harness harness;
    struct rlimit files = { 8192, 8192 };
    int result = 0;
    signal(SIGPIPE, SIG_IGN);
    setrlimit(RLIMIT_NOFILE, &files);
    http_harness_init(&harness);
    harness.config.http_deadline = INT64_C(1000000000);
    harness.config.http_connections_max = 3000;
    harness.serve = serve;
    http_harness_start(&harness);
    if (argc > 1 && strcmp(argv[1], "serve") == 0) {
        char byte, token[SEAL_TEXT_MAX + 1];
        http_harness_token(&harness, 600, token);
        printf("%u %s\n", harness.tcp_port, token);
        fflush(stdout);
        while (read(STDIN_FILENO, &byte, 1) > 0)
            continue;
    } else {
        result = run_script(&harness);
    }
    http_harness_end(&harness);
    return result;
}
