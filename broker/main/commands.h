/* The commands of the program; argv[0] is the command's name.  Exit code 0, 1 (failed) or 2
 * (usage). */
#ifndef COMMANDS_H
#define COMMANDS_H

int serve_command(int argc, char **argv);
int keys_command(int argc, char **argv);

#endif
