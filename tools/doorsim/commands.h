/* doorsim's subcommands.  argv[0] is the subcommand's name.  The result is the exit status:
 * 0 all is well, 1 something was found, 2 it could not be run. */
#ifndef DOORSIM_COMMANDS_H
#define DOORSIM_COMMANDS_H

int seed_command(int argc, char **argv);
int demo_command(int argc, char **argv);
int load_command(int argc, char **argv);
int judge_command(int argc, char **argv);
int bench_command(int argc, char **argv);
int curve_command(int argc, char **argv);
int crash_command(int argc, char **argv);
int chaos_command(int argc, char **argv);
int report_command(int argc, char **argv);
int compare_command(int argc, char **argv);

#endif
