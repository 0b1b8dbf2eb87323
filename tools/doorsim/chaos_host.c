/* Faults of the server's process, of its clock, and of the provider. */
#include "tools/doorsim/chaos.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

void chaos_server_kill(struct chaos *self) {
    for (uint64_t left = 1 + chaos_draw(self, 3); left > 0; left--) {
        if (self->stage.server > 0) (void)kill(self->stage.server, SIGKILL);
        stage_sleep(&self->stage, chaos_span(self, 50, 1500));
    }
}

void chaos_server_pause(struct chaos *self) {
    pid_t pid = self->stage.server;
    if (pid <= 0) return;
    (void)kill(pid, SIGSTOP);
    stage_sleep(&self->stage, chaos_span(self, 1000, 6000));
    (void)kill(pid, SIGCONT);
}

/* On ports of its own, with the same stores: two inventories and two writers for the one shard. */
void chaos_server_two(struct chaos *self) {
    char program[STAGE_PATH + 20], listen[64], door[STAGE_PATH + 60];
    if (self->second > 0) return;
    (void)snprintf(program, sizeof program, "%s/doorbuster", self->stage.build);
    (void)snprintf(listen, sizeof listen, "http.listen=127.0.0.1:%d", self->stage.port + 1003);
    (void)snprintf(door, sizeof door, "door.endpoint=ipc://%s",
                   stage_path(&self->stage, "door2.sock"));
    self->second =
        stage_spawn(&self->stage, "second.log",
                    (const char *const[]){ program, "serve", "--config", self->stage.config,
                                           "--set", listen, "--set", door, NULL });
    stage_sleep(&self->stage, chaos_span(self, 1000, 4000));
    if (self->second <= 0) return;
    (void)kill(self->second, chaos_draw(self, 2) == 0 ? SIGKILL : SIGTERM);
    int status = stage_wait(&self->stage, self->second, 10 * CHAOS_S);
    if (status == 128 + SIGABRT || status == 128 + SIGSEGV) self->stage.aborts++;
    self->second = 0;
}

/* ---- The provider ---- */

static void provider_set(struct chaos *self, const char *json) {
    char url[100];
    (void)snprintf(url, sizeof url, "%s/control", self->stage.pay_url);
    (void)STAGE_RUN(&self->stage, NULL, 0, 10 * CHAOS_S, "curl", "-s", "-m", "5", "-o", "/dev/null",
                    "-d", json, url);
}

static const char *const moods[] = {
    "{\"slow_ms\":700}",
    "{\"fail_rate\":0.5}",
    "{\"callback_copies\":4,\"callback_reorder\":true}",
    "{\"callback_delay_ms\":1200}",
    "{\"drop_callbacks\":true}",
    "{\"wrong_amount\":true}",
    "{\"wrong_currency\":true}",
    "{\"wrong_merchant\":true}",
    "{\"bad_signature\":true}",
    "{\"stale_seconds\":3600}",
    "{\"silent\":true}",
};

static void provider_reset(struct chaos *self) {
    provider_set(self, "{\"slow_ms\":0,\"fail_rate\":0,\"silent\":false,\"fail_refunds\":false,"
                       "\"callback_copies\":1,\"callback_delay_ms\":0,\"callback_reorder\":false,"
                       "\"drop_callbacks\":false,\"wrong_amount\":false,\"wrong_currency\":false,"
                       "\"wrong_merchant\":false,\"stale_seconds\":0,\"bad_signature\":false}");
}

void chaos_provider(struct chaos *self) {
    for (int i = 0; i < 2; i++) {
        const char *mood = moods[chaos_draw(self, sizeof moods / sizeof moods[0])];
        chaos_say(self, "provider %s", mood);
        provider_set(self, mood);
    }
    stage_sleep(&self->stage, chaos_span(self, 1500, 3500));
    provider_reset(self);
}

/* ---- Clocks ---- */

bool chaos_clock_set(struct chaos *self, int64_t seconds) {
    FILE *out = fopen(self->clock_file, "we");
    if (out == NULL) return false;
    fprintf(out, "%+" PRId64 "s\n", seconds);
    return fclose(out) == 0;
}

void chaos_clock(struct chaos *self) {
    for (uint64_t left = 1 + chaos_draw(self, 3); left > 0; left--) {
        int64_t seconds = chaos_span(self, -3600, 3600);
        chaos_say(self, "the clocks are %" PRId64 " s %s", seconds < 0 ? -seconds : seconds,
                  seconds < 0 ? "behind" : "ahead");
        (void)chaos_clock_set(self, seconds);
        stage_sleep(&self->stage, chaos_span(self, 300, 1500));
    }
    (void)chaos_clock_set(self, 0);
    /* A process whose clock went ahead and back lets its time pass at half speed until it is caught
     * up (clock_onward), which may take twice the jump; a restart ends that. */
    if (self->stage.server > 0) (void)kill(self->stage.server, SIGKILL);
}

/* ---- The end ---- */

bool chaos_heal(struct chaos *self) {
    const struct proxy_faults none = { 0 };
    if (self->stage.server > 0) (void)kill(self->stage.server, SIGCONT);
    proxy_set(self->redis, &none);
    proxy_set(self->pg, &none);
    provider_reset(self);
    bool redis = self->replica_leads || stage_stack(&self->stage, "start-redis", NULL) == 0;
    bool pg = stage_stack(&self->stage, "start-pg", NULL) == 0;
    return redis && pg && chaos_switch(self, "errors", 0) && chaos_switch(self, "commit", 0) &&
           (!self->clock || chaos_clock_set(self, 0));
}
