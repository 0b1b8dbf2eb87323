/* Mail through libcurl in a few threads of its own.  Threads, because libcurl waits for the
 * server's last word on a mail inside of a call that is said not to block: in the host's loop, a
 * mail server that thinks for long would hold up everybody. */
#include "broker/mail/smtp.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/clock.h"
#include "broker/crash.h"
#include "broker/mail/compose.h"

enum { URL_MAX = 255, CREDENTIAL_MAX = 511, THREADS_MAX = 4, MS_NS = 1000000 };

struct job {
    struct job *next;
    int64_t deadline; /* clock_mono() */
    char to[SMTP_ADDRESS_MAX + 3];
    size_t size;
    size_t at; /* Read by libcurl so far. */
    struct smtp_result result;
    char text[COMPOSE_MAX];
};

struct list {
    struct job *head;
    struct job **tail;
};

struct smtp {
    int64_t timeout_ns;
    uint32_t in_flight_max;
    char url[URL_MAX + SMTP_ADDRESS_MAX + 4]; /* With our name behind it, for EHLO. */
    char from[SMTP_ADDRESS_MAX + 1];
    char envelope_from[SMTP_ADDRESS_MAX + 3];
    enum smtp_tls tls;
    bool unverified;
    char ca_file[URL_MAX + 1], user[CREDENTIAL_MAX + 1], password[CREDENTIAL_MAX + 1];
    int event;
    pthread_t threads[THREADS_MAX];
    uint32_t thread_count; /* Started ones. */
    atomic_bool stopping;

    pthread_mutex_t lock; /* Guards everything below. */
    pthread_cond_t work;
    uint32_t busy;
    struct job *jobs;
    struct job *free;
    struct list waiting;
    struct list done;
};

static void list_add(struct list *list, struct job *job) {
    job->next = NULL;
    *list->tail = job;
    list->tail = &job->next;
}

static struct job *list_take(struct list *list) {
    struct job *job = list->head;

    if (job == NULL) return NULL;
    list->head = job->next;
    if (list->head == NULL) list->tail = &list->head;
    return job;
}

/* ---- One mail -------------------------------------------------------------------------------- */

static size_t give(char *to, size_t size, size_t count, void *context) {
    struct job *job = context;
    size_t left = job->size - job->at;
    size_t part = size * count < left ? size * count : left;

    if (part > 0) memcpy(to, job->text + job->at, part);
    job->at += part;
    return part;
}

static size_t ignore(char *from, size_t size, size_t count, void *context) {
    (void)from;
    (void)context;
    return size * count;
}

static int give_up(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    const struct smtp *self = context;

    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return atomic_load(&self->stopping) ? 1 : 0;
}

/* Who may hear us, and who we are. */
static CURLcode protect(const struct smtp *self, CURL *easy) {
    CURLcode code = CURLE_OK;
    if (self->tls == SMTP_TLS_none) return code;
    code = curl_easy_setopt(easy, CURLOPT_USE_SSL, (long)CURLUSESSL_ALL);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, self->unverified ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, self->unverified ? 0L : 2L);
    if (code == CURLE_OK && self->ca_file[0] != '\0')
        code = curl_easy_setopt(easy, CURLOPT_CAINFO, self->ca_file);
    if (code == CURLE_OK && self->user[0] != '\0')
        code = curl_easy_setopt(easy, CURLOPT_USERNAME, self->user);
    if (code == CURLE_OK && self->user[0] != '\0')
        code = curl_easy_setopt(easy, CURLOPT_PASSWORD, self->password);
    return code;
}

static CURLcode hand_over(const struct smtp *self, CURL *easy, struct job *job, char *error) {
    long left_ms = (long)((job->deadline - clock_mono()) / MS_NS);

    if (left_ms <= 0) return CURLE_OPERATION_TIMEDOUT;
    struct curl_slist *to = curl_slist_append(NULL, job->to);
    if (to == NULL) return CURLE_OUT_OF_MEMORY;
    curl_easy_reset(easy);
    /* A connection for each mail: libcurl would use one again whose last reply never came, and then
     * take that reply, when it comes, for the next mail's. */
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, left_ms);
    curl_easy_setopt(easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, left_ms / 1000 + 1);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, give_up);
    /* libcurl's word for context is void *; it is handed back to give_up() alone. */
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, self);
    curl_easy_setopt(easy, CURLOPT_MAIL_FROM, self->envelope_from);
    curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, to);
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)job->size);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, give);
    curl_easy_setopt(easy, CURLOPT_READDATA, job);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore);
    CURLcode code = protect(self, easy); /* Without its protection nothing is sent. */
    if (code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_URL, self->url);
    CRASH_POINT(mail_sending);
    if (code == CURLE_OK) code = curl_easy_perform(easy);
    CRASH_POINT(mail_sent);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, NULL);
    curl_slist_free_all(to);
    return code;
}

/* A permanent refusal counts only if it is about this mail: 55x to its sender, its receiver or its
 * text.  A server that has no use for us as such (a greeting of 554, 530 for want of a login) may
 * be set right; the mail stays. */
static enum smtp_outcome sort(const struct job *job, CURLcode code) {
    if (code == CURLE_OK) return SMTP_sent;
    if (code == CURLE_LOGIN_DENIED) return SMTP_retry; /* Whatever the number it is said with. */
    if (job->result.code < 550 || job->result.code > 559) return SMTP_retry;
    return code == CURLE_SEND_ERROR || job->at > 0 ? SMTP_rejected : SMTP_retry;
}

static void send_job(const struct smtp *self, CURL *easy, struct job *job) {
    char error[CURL_ERROR_SIZE] = "";
    long status = 0;
    CURLcode code = hand_over(self, easy, job, error);

    if (code != CURLE_OPERATION_TIMEDOUT || job->at > 0) {
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    }
    job->result.code = (int)status;
    job->result.outcome = sort(job, code);
    if (job->result.outcome != SMTP_sent) {
        (void)snprintf(job->result.error, sizeof job->result.error, "%.*s", SMTP_ERROR_SIZE - 1,
                       error[0] != '\0' ? error : curl_easy_strerror(code));
    }
}

/* ---- Threads --------------------------------------------------------------------------------- */

static void *run(void *context) {
    struct smtp *self = context;
    CURL *easy = curl_easy_init();
    const uint64_t one = 1;

    pthread_mutex_lock(&self->lock);
    for (;;) {
        while (!atomic_load(&self->stopping) && self->waiting.head == NULL) {
            pthread_cond_wait(&self->work, &self->lock);
        }
        if (atomic_load(&self->stopping)) break;
        struct job *job = list_take(&self->waiting);
        pthread_mutex_unlock(&self->lock);
        if (easy == NULL) easy = curl_easy_init();
        if (easy != NULL) send_job(self, easy, job);
        pthread_mutex_lock(&self->lock);
        list_add(&self->done, job);
        CRASH_POINT(mail_telling);
        ssize_t written = write(self->event, &one, sizeof one);
        CRASH_POINT(mail_waking);
        (void)written; /* Cannot fail short of 2^64 results nobody has taken. */
    }
    pthread_mutex_unlock(&self->lock);
    curl_easy_cleanup(easy);
    return NULL;
}

/* The host's signals are none of these threads' business. */
static bool start_threads(struct smtp *self) {
    uint32_t wanted = self->in_flight_max < THREADS_MAX ? self->in_flight_max : THREADS_MAX;
    sigset_t all;
    sigset_t before;

    (void)sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (self->thread_count < wanted) {
        if (pthread_create(&self->threads[self->thread_count], NULL, run, self) != 0) break;
        self->thread_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return self->thread_count == wanted;
}

static bool take(char *to, size_t size, const char *text) {
    if (text == NULL) return true; /* Empty already. */
    int length = snprintf(to, size, "%s", text);
    return length >= 0 && (size_t)length < size;
}

static bool take_protection(struct smtp *self, const struct smtp_config *config) {
    self->tls = config->tls;
    self->unverified = config->unverified;
    return take(self->ca_file, sizeof self->ca_file, config->ca_file) &&
           take(self->user, sizeof self->user, config->user) &&
           take(self->password, sizeof self->password, config->password);
}

static bool configure(struct smtp *self, const struct smtp_config *config) {
    size_t from_size = strlen(config->from);
    size_t url_size = strlen(config->url);

    if (!compose_address_good(config->from, from_size)) return false;
    if (config->in_flight_max == 0 || config->in_flight_max > SMTP_IN_FLIGHT_MAX) return false;
    /* '@': a name and a password would stand before it, for everybody to read. */
    if (url_size > URL_MAX || strcspn(config->url, " \t\r\n@") != url_size) return false;
    const char *colon = strstr(config->url, "://");
    if (colon == NULL || !take_protection(self, config)) return false;
    if (strncmp(config->url, "smtps://", 8) == 0 && self->tls != SMTP_TLS_starttls)
        self->tls = SMTP_TLS_tls;
    else if (strncmp(config->url, "smtp://", 7) != 0)
        return false;
    /* A password goes over an encrypted connection or nowhere. */
    if (self->user[0] != '\0' && self->tls == SMTP_TLS_none) return false;
    memcpy(self->from, config->from, from_size + 1);
    (void)snprintf(self->envelope_from, sizeof self->envelope_from, "<%s>", self->from);
    (void)snprintf(self->url, sizeof self->url, "%s%s/%s",
                   self->tls == SMTP_TLS_tls ? "smtps" : "smtp", colon,
                   strchr(self->from, '@') + 1);
    self->timeout_ns = config->timeout_ns;
    self->in_flight_max = config->in_flight_max;
    return true;
}

struct smtp *smtp_open(const struct smtp_config *config) {
    struct smtp *self = calloc(1, sizeof *self);

    if (self == NULL) return NULL;
    if (!configure(self, config) || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        sodium_memzero(self->password, sizeof self->password);
        free(self);
        return NULL;
    }
    self->waiting.tail = &self->waiting.head;
    self->done.tail = &self->done.head;
    atomic_init(&self->stopping, false);
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->work, NULL);
    self->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->jobs = calloc(self->in_flight_max, sizeof *self->jobs);
    for (uint32_t i = 0; self->jobs != NULL && i < self->in_flight_max; i++) {
        self->jobs[i].next = self->free;
        self->free = &self->jobs[i];
    }
    if (self->event < 0 || self->jobs == NULL || !start_threads(self)) smtp_close(&self);
    return self;
}

void smtp_close(struct smtp **self) {
    struct smtp *gone = *self;

    if (gone == NULL) return;
    *self = NULL;
    pthread_mutex_lock(&gone->lock);
    atomic_store(&gone->stopping, true);
    pthread_cond_broadcast(&gone->work);
    pthread_mutex_unlock(&gone->lock);
    for (uint32_t i = 0; i < gone->thread_count; i++)
        pthread_join(gone->threads[i], NULL);
    if (gone->event >= 0) close(gone->event);
    free(gone->jobs);
    pthread_cond_destroy(&gone->work);
    pthread_mutex_destroy(&gone->lock);
    sodium_memzero(gone->password, sizeof gone->password);
    free(gone);
    curl_global_cleanup();
}

/* ---- The caller's side ----------------------------------------------------------------------- */

enum smtp_start smtp_send(struct smtp *self, uint64_t tag, const struct smtp_mail *mail,
                          int64_t now) {
    if (!compose_mail_good(mail)) return SMTP_invalid;

    pthread_mutex_lock(&self->lock);
    struct job *job = self->free;
    if (job != NULL) {
        self->free = job->next;
        self->busy++;
    }
    pthread_mutex_unlock(&self->lock);
    if (job == NULL) return SMTP_busy;

    /* Nobody else knows of it yet. */
    job->result =
        (struct smtp_result){ .tag = tag, .outbox_id = mail->outbox_id, .outcome = SMTP_retry };
    job->deadline = clock_mono() + self->timeout_ns;
    job->at = 0;
    job->size = compose_mail(mail, self->from, now, job->text);
    (void)snprintf(job->to, sizeof job->to, "<%.*s>", (int)mail->to_size, mail->to);

    pthread_mutex_lock(&self->lock);
    list_add(&self->waiting, job);
    pthread_cond_signal(&self->work);
    pthread_mutex_unlock(&self->lock);
    return SMTP_started;
}

int smtp_poll_fds(const struct smtp *self, struct pollfd *fds, int max) {
    if (max < 1) return 0;
    fds[0] = (struct pollfd){ .fd = self->event, .events = POLLIN };
    return 1;
}

int64_t smtp_timeout(const struct smtp *self) {
    (void)self;
    return -1;
}

void smtp_step(struct smtp *self, int64_t now) {
    (void)self;
    (void)now;
}

bool smtp_next(struct smtp *self, struct smtp_result *out) {
    uint64_t told = 0;

    pthread_mutex_lock(&self->lock);
    struct job *job = list_take(&self->done);
    if (job == NULL) {
        /* Under the lock, so that no result can come between the look and the silence. */
        ssize_t got = read(self->event, &told, sizeof told);
        (void)got;
        pthread_mutex_unlock(&self->lock);
        return false;
    }
    *out = job->result;
    job->next = self->free;
    self->free = job;
    self->busy--;
    pthread_mutex_unlock(&self->lock);
    return true;
}

uint32_t smtp_in_flight(struct smtp *self) {
    pthread_mutex_lock(&self->lock);
    uint32_t busy = self->busy;
    pthread_mutex_unlock(&self->lock);
    return busy;
}
