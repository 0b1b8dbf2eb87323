#include "broker/service.h"

#include <stdbool.h>
#include <systemd/sd-daemon.h>

#include "broker/beat.h"
#include "broker/log.h"

static const char *told_missing = "";

void service_ready(void) {
    (void)sd_notify(0, "READY=1");
}

void service_reloading(void) {
    (void)sd_notify(0, "RELOADING=1");
}

void service_stopping(void) {
    (void)sd_notify(0, "STOPPING=1\nSTATUS=draining");
}

void service_missing(const char *missing) {
    if (missing == told_missing) return;
    told_missing = missing;
    if (missing == NULL)
        (void)sd_notify(0, "STATUS=ready");
    else
        (void)sd_notifyf(0, "STATUS=not ready: %s", missing);
}

/* The time after which the process is ended; 0 = nobody watches. */
static int64_t limit(void) {
    uint64_t us = 0;
    return sd_watchdog_enabled(0, &us) > 0 ? (int64_t)us * 1000 : 0;
}

int64_t service_watchdog_every(void) {
    return limit() / 4;
}

void service_alive(int64_t mono) {
    uint32_t thread = 0;
    int64_t allowed = limit() / 2, oldest = beat_oldest(mono, &thread);
    if (allowed == 0) return;
    if (oldest <= allowed) {
        (void)sd_notify(0, "WATCHDOG=1");
        return;
    }
    log_error("service", "a thread hangs; the watchdog is not told that we live",
              LOG_U64("thread", thread), LOG_I64("seconds", oldest / 1000000000), LOG_END);
}
