/* Bytes as a configuration file: refused with a sentence, or complete. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct config config;
    struct config_error error = { 0 };
    char path[64];
    snprintf(path, sizeof path, "/tmp/fuzz-config-%ld", (long)getpid());
    FILE *out = fopen(path, "we");
    if (out == NULL) abort();
    (void)fwrite(data, 1, size, out);
    (void)fclose(out);
    if (!config_load(&config, path, NULL, 0, &error) && error.text[0] == '\0') abort();
    (void)unlink(path);
    return 0;
}
