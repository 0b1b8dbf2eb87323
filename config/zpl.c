/* Settings files: ZPL, read by czmq.
 *
 * Each line is looked at here before czmq sees it: zconfig cuts long lines, takes what follows a
 * '#' inside a value for a comment, prints its complaints on stdout, and tells nobody the line. */
#include "config/internal.h"

#include <czmq.h>

#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 1000 }; /* zconfig's own buffer is 1024. */

enum line_kind { LINE_blank, LINE_section, LINE_key };

static bool is_name_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* True if only blanks and a comment are left. */
static bool ends_here(const char *at) {
    at += strspn(at, " ");
    return *at == '\0' || *at == '#';
}

/* What is wrong with a value, or NULL. */
static const char *value_fault(const char *at) {
    at += strspn(at, " ");
    if (*at == '"' || *at == '\'') {
        const char *end = strchr(at + 1, *at);
        if (end == NULL) return "the quote is not closed";
        return ends_here(end + 1) ? NULL : "something follows the closing quote";
    }
    const char *hash = strchr(at, '#');
    if (hash != NULL && hash > at && hash[-1] != ' ')
        return "a value that holds '#' must be in quotes";
    return NULL;
}

/* What is wrong with a line, or NULL; then `*kind` is set. */
static const char *line_fault(const char *line, bool in_section, enum line_kind *kind) {
    if (strlen(line) > LINE_MAX_BYTES) return "the line is longer than 1000 bytes";
    for (const char *c = line; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return "the line holds a control character; indent by blanks, end lines by \\n";
    size_t indent = strspn(line, " ");
    const char *at = line + indent;
    *kind = LINE_blank;
    if (ends_here(at)) return NULL;
    if (indent != 0 && indent != 4)
        return "a section stands at the margin, its keys are indented by 4 blanks";
    const char *name = at;
    while (is_name_char(*at))
        at++;
    if (at == name) return "a name is made of a-z, 0-9 and '_'";
    if (indent == 0) {
        *kind = LINE_section;
        if (ends_here(at)) return NULL;
        at += strspn(at, " ");
        return *at == '=' ? "a section has no value; its keys follow, indented by 4 blanks"
                          : "a name is made of a-z, 0-9 and '_'";
    }
    *kind = LINE_key;
    if (!in_section) return "a key must follow its section";
    at += strspn(at, " ");
    if (*at != '=') return "a key must read `name = value`";
    return value_fault(at + 1);
}

/* Checks all lines.  Comments and blank lines become comments at the margin, in place: zconfig
 * minds their indentation. */
static bool check_lines(const char *file, char *text, struct config_error *error) {
    bool in_section = false;
    uint32_t number = 1;
    for (char *line = text; *line != '\0'; number++) {
        char *end = strchrnul(line, '\n');
        char after = *end;
        enum line_kind kind = LINE_blank;
        *end = '\0';
        const char *fault = line_fault(line, in_section, &kind);
        if (fault != NULL) return config_refuse(error, "%s:%u: %s", file, number, fault);
        *end = after;
        if (kind == LINE_blank) memset(line, '#', (size_t)(end - line));
        if (kind == LINE_section) in_section = true;
        line = after == '\0' ? end : end + 1;
    }
    return true;
}

/* Moves to the next line that holds a key, from the line `*number` at `*at`. */
static void next_key_line(const char **at, uint32_t *number) {
    do {
        *at = strchrnul(*at, '\n');
        if (**at == '\0') return;
        ++*at;
        ++*number;
    } while (strncmp(*at, "    ", 4) != 0 || !is_name_char((*at)[4]));
}

static bool walk(zconfig_t *root, const char *text, config_zpl_take *take, void *context) {
    const char *at = text;
    uint32_t line = 1;
    for (zconfig_t *section = zconfig_child(root); section; section = zconfig_next(section)) {
        for (zconfig_t *key = zconfig_child(section); key; key = zconfig_next(key)) {
            char name[2 * LINE_MAX_BYTES + 2];
            const char *value = zconfig_value(key);
            (void)snprintf(name, sizeof name, "%s.%s", zconfig_name(section), zconfig_name(key));
            next_key_line(&at, &line); /* zconfig keeps the order of the file. */
            if (!take(context, line, name, value == NULL ? "" : value)) return false;
        }
    }
    return true;
}

bool config_zpl_read(const char *file, config_zpl_take *take, void *context,
                     struct config_error *error) {
    size_t length = 0;
    char *text = malloc(CONFIG_FILE_MAX + 1);
    if (text == NULL) return config_refuse(error, "%s: not enough memory", file);
    bool good = config_file_read(file, text, CONFIG_FILE_MAX + 1, &length, NULL, error) &&
                check_lines(file, text, error);
    if (good) {
        zsys_handler_set(NULL); /* Signals are the program's own affair. */
        zconfig_t *root = zconfig_str_load(text);
        if (root == NULL)
            good = config_refuse(error, "%s: is not ZPL", file);
        else
            good = walk(root, text, take, context);
        zconfig_destroy(&root);
    }
    free(text);
    return good;
}
