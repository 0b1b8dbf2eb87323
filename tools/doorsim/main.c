/* doorsim: shoppers, their load, and the judge of what they were told. */
#include "tools/doorsim/commands.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#if __has_include("tests/sim/sim.h")
#include "tests/sim/sim.h"
#define WITH_SIM 1
#else
#define WITH_SIM 0
#endif

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *doc;
} commands[] = {
    { "seed", seed_command, "accounts, sessions and access tokens in bulk" },
    { "demo", demo_command, "a crowd at a sale, then the account" },
    { "load", load_command,
      "purchases or pages: at a rate of their own, or as fast as they are answered" },
    { "judge", judge_command, "what clients were told beside what PostgreSQL has" },
    { "report", report_command, "a page of a run of load" },
    { "compare", compare_command, "two runs of load or bench beside each other" },
    { "bench", bench_command, "purchases and refusals per second beside nginx and do-nothing" },
    { "curve", curve_command, "a figure over several runs of bench, as a picture" },
    { "chaos", chaos_command, "a sale while everything around it is broken, as a seed says" },
    { "crash", crash_command, "dies at every crash point, starts again and judges" },
#if WITH_SIM
    { "sim", sim_command, "the actors in virtual time, with faults drawn from a seed" },
#endif
};

static void usage(FILE *to) {
    fprintf(to, "doorsim COMMAND [--option value …]    (doorsim COMMAND --help)\n");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        fprintf(to, "  %-7s %s\n", commands[i].name, commands[i].doc);
    }
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    const char *name = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(name, commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
    }
    bool help = strcmp(name, "help") == 0 || strcmp(name, "--help") == 0;
    usage(help ? stdout : stderr);
    return help ? 0 : 2;
}
