/* SIGHUP. */
#include <sodium.h>
#include <string.h>

#include "broker/keys.h"
#include "broker/log.h"
#include "broker/main/commands.h"
#include "broker/news.h"
#include "broker/values.h"

struct changes {
    uint32_t taken, refused;
};

/* Each call is a site of its own: the operator sees every key, however many there are. */
static void tell(void *context, const struct config_change *change) {
    struct changes *changes = context;
    struct log_site taken = { .level = LOG_LEVEL_info, .message = "changed" };
    struct log_site refused = { .level = LOG_LEVEL_warn, .message = "not changed" };
    if (change->taken) {
        const struct log_field fields[] = { LOG_TEXT("key", change->name),
                                            LOG_TEXT("before", change->before),
                                            LOG_TEXT("after", change->after), LOG_END };
        changes->taken++;
        if (log_wants(taken.level)) log_line(&taken, "reload", fields);
    } else {
        const struct log_field fields[] = {
            LOG_TEXT("key", change->name), LOG_TEXT("value", change->before),
            LOG_TEXT("wanted", change->after),
            LOG_TEXT("why", "this key is read at the start only: restart"), LOG_END
        };
        changes->refused++;
        if (log_wants(refused.level)) log_line(&refused, "reload", fields);
    }
}

static bool load(const struct config_options *options, const char *keys_file, struct config *wanted,
                 struct seal_keys *keys, struct config_error *error) {
    return config_load(wanted, options->file, options->sets, options->sets_count, error) &&
           keys_load(keys_file, keys, error->text, sizeof error->text);
}

static bool same_keys(const struct seal_keys *a, const struct seal_keys *b) {
    if (a->count != b->count || a->signing != b->signing) return false;
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->key[i].id != b->key[i].id) return false;
        if (sodium_memcmp(a->key[i].bytes, b->key[i].bytes, SEAL_KEY_BYTES) != 0) return false;
    }
    return true;
}

void reload_settings(struct config *config, const struct config_options *options,
                     struct seal_keys *keys) {
    static struct config wanted;
    static struct news news;
    struct seal_keys loaded = { 0 };
    struct config_error error;
    struct changes changes = { 0, 0 };
    if (!load(options, config->keys_file, &wanted, &loaded, &error) ||
        !config_reload(config, &wanted, tell, &changes, &error)) {
        sodium_memzero(&loaded, sizeof loaded);
        log_error("reload", "refused, nothing has changed", LOG_TEXT("why", error.text), LOG_END);
        return;
    }
    if (!same_keys(keys, &loaded))
        log_info("reload", "keys changed", LOG_U64("count", loaded.count),
                 LOG_U64("signing", loaded.key[loaded.signing].id), LOG_END);
    *keys = loaded;
    log_by_settings(config);
    news =
        (struct news){ .config = *config, .actor = actor_values(config, NULL, 0), .keys = loaded };
    news_publish(&news);
    sodium_memzero(&loaded, sizeof loaded);
    sodium_memzero(&news, sizeof news);
    log_info("reload", "done", LOG_U64("changed", changes.taken),
             LOG_U64("refused", changes.refused), LOG_END);
}
