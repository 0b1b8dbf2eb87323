/* What the service manager (systemd, Type=notify) is told, when there is one; otherwise these do
 * nothing.  One thread. */
#ifndef BROKER_SERVICE_H
#define BROKER_SERVICE_H

#include <stdint.h>

/* READY=1: everything is open.  Whether the stores are there is the status's to say: a start that
 * waited for them would be given up and repeated for as long as they are away. */
void service_ready(void);
void service_reloading(void);
void service_stopping(void);

/* One line for `systemctl status`; told only when it is news.  Kept by address: a literal, or a
 * name that ready_missing() gave.  NULL = all is there. */
void service_missing(const char *missing);

/* To be called about so often; 0 = nobody watches.  In ns. */
int64_t service_watchdog_every(void);

/* WATCHDOG=1, unless a thread of the process has not gone round for longer than the watchdog's time
 * allows: then nothing, so that the service manager ends the process and starts it anew. */
void service_alive(int64_t mono);

#endif
