#include "tests/lib/mail_receiver.h"

#include <dirent.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORDS_MAX = 16, FILE_SIZE = 65536 };

static void become(const struct mail_receiver *self, const char *const *options, const int out[2]) {
    /* Debian's own python, which python3-aiosmtpd belongs to. */
    const char *words[WORDS_MAX] = { "/usr/bin/python3", "tests/contract/smtp_receiver.py",
                                     self->folder };
    for (int i = 3; options != NULL && *options != NULL && i + 1 < WORDS_MAX; i++)
        words[i] = *options++;
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void)dup2(out[1], STDOUT_FILENO);
    (void)close(out[0]);
    (void)close(out[1]);
    (void)execv(words[0], (char *const *)(uintptr_t)words);
    _exit(127);
}

bool mail_receiver_open(struct mail_receiver *self, const char *const *options) {
    char line[32] = "";
    int out[2];
    *self = (struct mail_receiver){ .folder = "/tmp/test_smtp.XXXXXX" };
    if (mkdtemp(self->folder) == NULL || pipe(out) != 0) return false;
    self->pid = fork();
    if (self->pid == 0) become(self, options, out);
    (void)close(out[1]);
    FILE *told = fdopen(out[0], "r");
    bool good = told != NULL && self->pid > 0 && fgets(line, sizeof line, told) != NULL;
    if (told != NULL) (void)fclose(told);
    if (!good) fprintf(stderr, "no mail server: is python3-aiosmtpd installed?\n");
    (void)snprintf(self->url, sizeof self->url, "smtp://127.0.0.1:%.*s", (int)strcspn(line, "\n"),
                   line);
    return good;
}

void mail_receiver_close(struct mail_receiver *self) {
    char path[400];
    if (self->pid > 0) {
        (void)kill(self->pid, SIGTERM);
        (void)waitpid(self->pid, NULL, 0);
        self->pid = 0;
    }
    DIR *folder = opendir(self->folder);
    if (folder == NULL) return;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        (void)snprintf(path, sizeof path, "%s/%s", self->folder, entry->d_name);
        if (entry->d_name[0] != '.') (void)unlink(path);
    }
    (void)closedir(folder);
    (void)rmdir(self->folder);
}

const char *mail_arrived(struct mail_receiver *self) {
    static char text[FILE_SIZE];
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%d.eml", self->folder, self->mails + 1);
    FILE *file = fopen(path, "re");
    if (file == NULL) return NULL;
    self->mails++;
    size_t size = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[size] = '\0';
    return text;
}
