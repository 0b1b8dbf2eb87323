/* What doorctl says of itself, all from the tables: help, and completion for two shells. */
#include <string.h>

#include "tools/doorctl/doorctl.h"

static const char *const own_options[] = { "--help",     "--json", "--yes",      "--socket",
                                           "--endpoint", "--key",  "--door-key", "--timeout" };

int help(FILE *to, int code) {
    fputs("doorctl runs a doorbuster shop.\n\n"
          "usage: doorctl [OPTION...] COMMAND [WORD...]\n"
          "       doorctl COMMAND --help\n\n",
          to);
    door_list(to, NULL);
    fputs(
        "  top               the shop, live; --once prints it and ends\n"
        "  completion        a completion script: doorctl completion bash|zsh\n\n"
        "  --socket PATH     the door's socket (DOORBUSTER_DOOR, var/door.sock)\n"
        "  --endpoint E      the same as a ZeroMQ endpoint, such as tcp://10.0.0.1:5700\n"
        "  --key FILE        our key (DOORBUSTER_KEY, operators/admin beside the socket)\n"
        "  --door-key FILE   the door's public key (DOORBUSTER_DOOR_KEY, door.key beside the\n"
        "                    socket or our key)\n"
        "  --json            one line of JSON for each row\n"
        "  --yes             do not ask before what cannot be taken back\n"
        "  --timeout SECONDS how long to wait for an answer, 10 unless given\n\n"
        "Exit codes: 0 done, 1 failed or forbidden, 2 usage, 3 not found, 4 not possible now (or\n"
        "an account that is off), 5 server away.\n\n"
        "example: doorctl sale list --json\n",
        to);
    return code;
}

bool door_list(FILE *to, const char *noun) {
    bool any = false;
    for (const struct door_command *door = door_commands; door->noun; door++) {
        char name[WORD_MAX];
        if (noun != NULL && strcmp(door->noun, noun) != 0) continue;
        door_command_name(door, name, sizeof name);
        fprintf(to, "  %-16s  %s\n", name, door->doc);
        any = true;
    }
    return any;
}

const char *door_form(const struct field *field) {
    switch (field->kind) {
    case KIND_id: return "a number, as other commands show it";
    case KIND_time: return "2026-11-27T20:00:00Z, `now`, `+5m` or `-2h`";
    case KIND_span: return "`30s`, `15m`, `2h` or `7d`";
    case KIND_money: return "`1999CNY`, in minor units";
    default: return kind_doc(field->kind);
    }
}

void door_help(FILE *to, const struct door_command *door) {
    const struct message_type *type = message_type(door->message);
    char name[WORD_MAX], flag[WORD_MAX];
    door_command_name(door, name, sizeof name);
    fprintf(to, "%s: %s\n\nusage: doorctl %s", name, door->doc, name);
    for (const struct field *field = type->fields; field->name; field++) {
        if (door_is_word(door, field)) fprintf(to, " %s", field->name);
    }
    fputs("\n\n", to);
    for (const struct field *field = type->fields; field->name; field++) {
        if (!door_is_word(door, field) && !door_is_option(door, field)) continue;
        door_flag(field, flag);
        fprintf(to, "  %-18s  %s (%s)\n", door_is_word(door, field) ? field->name : flag,
                field->doc, door_form(field));
    }
    fprintf(to, "\nNeeds a key with the role %s.%s\n\nexample: %s\n",
            state_name(KIND_role, door->role),
            door->care == ASK ? "  Asks first at a terminal, unless --yes is given." : "",
            door->example);
}

/* ---- Completion ---- */

/* Each noun once, in order. */
static bool is_first(const struct door_command *door) {
    for (const struct door_command *at = door_commands; at < door; at++) {
        if (strcmp(at->noun, door->noun) == 0) return false;
    }
    return true;
}

static void print_nouns(void) {
    for (const struct door_command *door = door_commands; door->noun; door++) {
        if (is_first(door)) printf("%s ", door->noun);
    }
    fputs("top completion", stdout);
}

static void print_flags(const struct door_command *door) {
    char flag[WORD_MAX];
    for (const struct field *field = message_type(door->message)->fields; field->name; field++) {
        if (!door_is_option(door, field)) continue;
        door_flag(field, flag);
        printf(" %s", flag);
    }
}

static void print_own(void) {
    for (size_t i = 0; i < sizeof own_options / sizeof own_options[0]; i++)
        printf(" %s", own_options[i]);
}

/* Both shells share the table: NOUN) its verbs, `NOUN VERB`) its options. */
static void print_table(void) {
    for (const struct door_command *door = door_commands; door->noun; door++) {
        if (!is_first(door) || door->verb[0] == 0) continue;
        printf("    %s) echo '", door->noun);
        for (const struct door_command *at = door; at->noun; at++) {
            if (strcmp(at->noun, door->noun) == 0) printf("%s ", at->verb);
        }
        fputs("--help' ;;\n", stdout);
    }
    for (const struct door_command *door = door_commands; door->noun; door++) {
        char name[WORD_MAX];
        door_command_name(door, name, sizeof name);
        printf("    '%s%s') echo '--help --json%s", name, door->verb[0] ? "" : " ",
               door->care == ASK ? " --yes" : "");
        print_flags(door);
        fputs("' ;;\n", stdout);
    }
    fputs("    'top ') echo '--once --json --help' ;;\n"
          "    completion) echo 'bash zsh' ;;\n",
          stdout);
}

int completion(const char *shell) {
    bool zsh = strcmp(shell, "zsh") == 0;
    if (strcmp(shell, "--help") == 0) {
        puts("completion: a completion script\n\n"
             "usage: doorctl completion bash|zsh\n\n"
             "example: . <(doorctl completion bash)");
        return EXIT_done;
    }
    if (!zsh && strcmp(shell, "bash") != 0) {
        fputs("doorctl: completion is there for bash and zsh\n", stderr);
        return EXIT_usage;
    }
    fputs(zsh ? "#compdef doorctl\n" : "", stdout);
    fputs("# Completion of doorctl; made by `doorctl completion`.\n"
          "_doorctl_words() { # NOUN [VERB]\n    case \"${1-}${2+ $2}\" in\n    '') echo '",
          stdout);
    print_nouns();
    print_own();
    fputs("' ;;\n", stdout);
    print_table();
    fputs("    esac\n}\n", stdout);
    if (zsh) {
        fputs("_doorctl() {\n"
              "    local noun verb i\n"
              "    for ((i = 2; i < CURRENT; i++)); do\n"
              "        case $words[i] in\n"
              "        --socket|--endpoint|--key|--door-key|--timeout) ((i++)) ;;\n"
              "        -*) ;;\n"
              "        *) if [[ -z $noun ]]; then noun=$words[i]\n"
              "           elif [[ -z $verb ]]; then verb=$words[i]; fi ;;\n"
              "        esac\n"
              "    done\n"
              "    local found=\"$(_doorctl_words ${noun:+\"$noun\"} ${verb:+\"$verb\"})\"\n"
              "    [[ -n $found || -z $noun ]] || found=\"$(_doorctl_words $noun '')\"\n"
              "    compadd -- ${=found}\n"
              "}\n"
              "[[ -n $DOORCTL_SOURCED ]] || _doorctl \"$@\"\n",
              stdout);
    } else {
        fputs("_doorctl() {\n"
              "    local cur=${COMP_WORDS[COMP_CWORD]} noun='' verb='' i found\n"
              "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
              "        case ${COMP_WORDS[i]} in\n"
              "        --socket | --endpoint | --key | --door-key | --timeout) ((i++)) ;;\n"
              "        -*) ;;\n"
              "        *) if [ -z \"$noun\" ]; then noun=${COMP_WORDS[i]}\n"
              "           elif [ -z \"$verb\" ]; then verb=${COMP_WORDS[i]}; fi ;;\n"
              "        esac\n"
              "    done\n"
              "    found=$(_doorctl_words ${noun:+\"$noun\"} ${verb:+\"$verb\"})\n"
              "    [ -n \"$found\" ] || [ -z \"$noun\" ] || found=$(_doorctl_words \"$noun\" '')\n"
              "    mapfile -t COMPREPLY < <(compgen -W \"$found\" -- \"$cur\")\n"
              "}\n"
              "complete -o default -F _doorctl doorctl\n",
              stdout);
    }
    return EXIT_done;
}
