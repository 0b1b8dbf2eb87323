/* The settings written out: as a file, and as JSON. */
#include "config/internal.h"

#include <assert.h>
#include <jansson.h>
#include <string.h>

static const char *const sources[] = { "default", "file", "environment", "set" };

static void print_source(FILE *to, const struct config *self, int number) {
    enum config_source from = self->origin[number].from;
    if (from == CONFIG_file)
        (void)fprintf(to, "    # Source: file %s, line %u.\n", self->file,
                      self->origin[number].line);
    else
        (void)fprintf(to, "    # Source: %s.\n", sources[from]);
}

static void print_rule(FILE *to, const struct config_key *key) {
    if (key->kind == CONFIG_KIND_choice)
        (void)fprintf(to, "    # One of %s.\n", key->words);
    else if (key->kind == CONFIG_KIND_integer || key->kind == CONFIG_KIND_duration ||
             key->kind == CONFIG_KIND_size)
        (void)fprintf(to, "    # From %s to %s.\n", key->lo, key->hi);
}

static bool needs_quotes(const struct config_key *key) {
    return key->kind == CONFIG_KIND_text || key->kind == CONFIG_KIND_path ||
           key->kind == CONFIG_KIND_secret_file;
}

void config_print(FILE *to, const struct config *self, bool with_sources) {
    const char *section = "";
    size_t section_size = 0;
    (void)fprintf(to,
                  "# Settings of doorbuster, as ZPL: a section at the margin, its keys indented "
                  "by 4 blanks.\n"
                  "# DOORBUSTER_SECTION_NAME in the environment wins over this file, "
                  "--set section.name=value over both.\n");
    for (int i = 0; i < CONFIG_KEYS; i++) {
        const struct config_key *key = &config_keys[i];
        const char *dot = strchr(key->name, '.');
        size_t size = (size_t)(dot - key->name);
        if (size != section_size || strncmp(section, key->name, size) != 0) {
            section = key->name;
            section_size = size;
            (void)fprintf(to, "\n%.*s\n", (int)size, section);
        }
        char value[CONFIG_TEXT_SIZE];
        config_value_write(self, key, value);
        (void)fprintf(to, "    # %s%s\n", key->sentence,
                      config_key_reloaded(i) ? " Read again at SIGHUP." : "");
        print_rule(to, key);
        if (with_sources) print_source(to, self, i);
        const char *quote = needs_quotes(key) ? "\"" : "";
        (void)fprintf(to, "    %s = %s%s%s\n", dot + 1, quote, value, quote);
    }
}

static json_t *json_value(const struct config *self, const struct config_key *key) {
    char text[CONFIG_TEXT_SIZE];
    if (key->kind == CONFIG_KIND_integer) {
        int64_t value;
        memcpy(&value, (const char *)self + key->offset, sizeof value);
        return json_integer(value);
    }
    config_value_write(self, key, text);
    if (key->kind == CONFIG_KIND_boolean) return json_boolean(strcmp(text, "yes") == 0);
    return json_string(text);
}

void config_dump_json(FILE *to, const struct config *self) {
    json_t *all = json_object();
    for (int i = 0; i < CONFIG_KEYS; i++) {
        json_t *one =
            json_pack("{s:o, s:s, s:b}", "value", json_value(self, &config_keys[i]), "source",
                      sources[self->origin[i].from], "reloaded", config_key_reloaded(i) ? 1 : 0);
        /* Fails only without memory: the texts are UTF-8, checked when they were read. */
        int failed = one == NULL || json_object_set_new(all, config_keys[i].name, one) != 0;
        assert(!failed);
    }
    (void)json_dumpf(all, to, JSON_INDENT(2));
    (void)fputc('\n', to);
    json_decref(all);
}
