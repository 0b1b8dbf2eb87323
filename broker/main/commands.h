/* The commands of the program; argv[0] is the command's name.  Exit code 0, 1 (failed) or 2
 * (usage). */
#ifndef COMMANDS_H
#define COMMANDS_H

#include <signal.h>

#include "actors/actor.h"
#include "config/config.h"

int serve_command(int argc, char **argv);
int broker_command(int argc, char **argv);
int keys_command(int argc, char **argv);

/* Level, format and rate of the log. */
void log_by_settings(const struct config *config);

/* Tells the service manager that we are ready, then waits until a signal other than SIGHUP comes,
 * and returns it; `reload` is called at each SIGHUP.  Meanwhile the watchdog is fed as long as all
 * threads go round. */
int wait_for_end(const sigset_t *signals, void (*reload)(void *context), void *context);

/* SIGHUP: reads all sources of the settings and the key file again, gives the threads what may
 * change while running, and logs each key that differs.  When something in them is wrong nothing
 * changes.  `config` and `keys` are of this thread alone. */
void reload_settings(struct config *config, const struct config_options *options,
                     struct seal_keys *keys);

#endif
