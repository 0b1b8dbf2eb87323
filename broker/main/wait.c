/* The main thread's part while the others work: signals, the watchdog, what the log held back. */
#include <errno.h>
#include <time.h>

#include "broker/clock.h"
#include "broker/log.h"
#include "broker/main/commands.h"
#include "broker/ready.h"
#include "broker/service.h"

#define SECOND INT64_C(1000000000)

static int64_t look_after(void) {
    int64_t every = service_watchdog_every();
    return every > 0 && every < SECOND ? every : SECOND;
}

int wait_for_end(const sigset_t *signals, void (*reload)(void *context), void *context) {
    service_ready();
    for (;;) {
        int64_t wait = look_after();
        struct timespec limit = { wait / SECOND, wait % SECOND };
        service_missing(ready_missing());
        service_alive(clock_mono());
        log_flush();
        int signal = sigtimedwait(signals, NULL, &limit);
        if (signal == SIGHUP) {
            service_reloading();
            reload(context);
            service_ready();
        } else if (signal > 0) {
            log_info("service", "draining", LOG_I64("signal", signal), LOG_END);
            service_stopping();
            return signal;
        }
    }
}
