/* doorsim judge: histories and PostgreSQL, beside each other. */
#include "schema/timefmt.h"
#include "tools/doorsim/commands.h"
#include "tools/doorsim/judge_sql.h"
#include "tools/doorsim/options.h"

#include <stdlib.h>
#include <string.h>

enum { LOTS_MAX = 1024 };

/* `1,2,3`, appended. */
static bool read_lots(const struct option_list *words, int64_t *lots, unsigned *count) {
    for (unsigned i = 0; i < words->count; i++) {
        const char *at = words->items[i];
        while (*at != '\0') {
            char word[24];
            size_t length = strcspn(at, ",");
            if (length >= sizeof word || *count == LOTS_MAX) return false;
            memcpy(word, at, length);
            word[length] = '\0';
            if (!options_number(word, 1, INT64_MAX, &lots[(*count)++])) return false;
            at += length + (at[length] == ',');
        }
    }
    return true;
}

static int run(const struct judge_words *words, const struct option_list *files,
               int64_t expect_held, bool expect_sold) {
    struct history history = { 0 };
    struct facts facts = { 0 };
    struct verdict verdict;
    int exit_code = 2;
    bool good = true;
    for (unsigned i = 0; good && i < files->count; i++) {
        good = history_load(&history, files->items[i]);
    }
    if (good) {
        history_keep_lots(&history, words->lots, words->lot_count);
        good = judge_now(&history, words, &facts, &verdict);
    }
    if (good) {
        verdict_print(stdout, &verdict);
        bool held = verdict_expect_held(stdout, &verdict, expect_held);
        bool sold = !expect_sold || verdict_expect_sold(stdout, &verdict);
        exit_code = verdict_exact(&verdict) && held && sold ? 0 : 1;
    }
    facts_fini(&facts);
    history_fini(&history);
    return exit_code;
}

int judge_command(int argc, char **argv) {
    static int64_t lots[LOTS_MAX];
    struct judge_words words = { .lots = lots };
    struct option_list files = { 0 }, lot_words = { 0 };
    bool expect_sold = false;
    int64_t grace_ms = 1000, settle_ms = 10000, expect_held = -1;
    const struct option options[] = {
        { "dsn", OPTION_text, true, &words.dsn, 0, 0, "PostgreSQL." },
        { "history", OPTION_list, true, &files, 0, 0, "What clients were told; may be repeated." },
        { "lots", OPTION_list, false, &lot_words, 0, 0, "Only these, separated by commas." },
        { "grace-ms", OPTION_number, false, &grace_ms, 0, 3600000,
          "A free unit must be offered again within this time (1000).  More where a store was "
          "away." },
        { "settle-ms", OPTION_number, false, &settle_ms, 0, 3600000,
          "Money may be on its way so long (10000)." },
        { "expect-held", OPTION_number, false, &expect_held, 0, INT64_MAX,
          "Orders must hold exactly so many units." },
        { "expect-sold", OPTION_flag, false, &expect_sold, 0, 0,
          "They asked until it was quiet: nobody goes without while a unit is left." },
        { "allow-open", OPTION_flag, false, &words.options.allow_open, 0, 0,
          "The clients stopped asking: purchases without a final answer are all right." },
        { "clocks-apart", OPTION_flag, false, &words.options.clocks_apart, 0, 0,
          "The server's clock was moved: compare no time of its with one of the clients." },
        { "allow-others", OPTION_flag, false, &words.options.allow_others, 0, 0,
          "There were other clients: orders that no history asked for are all right." },
        { 0 },
    };
    switch (options_read(argc, argv, options, "compares what clients were told with PostgreSQL")) {
    case OPTIONS_help: return 0;
    case OPTIONS_wrong: return 2;
    case OPTIONS_run: break;
    }
    if (!read_lots(&lot_words, lots, &words.lot_count)) {
        fprintf(stderr, "doorsim judge: --lots must be ids, separated by commas\n");
        return 2;
    }
    words.options.grace_ns = grace_ms * TIMEFMT_NS_PER_MS;
    words.settle_ns = settle_ms * TIMEFMT_NS_PER_MS;
    return run(&words, &files, expect_held, expect_sold);
}
