/* SPDX-License-Identifier: Apache-2.0 */
/* Opens a store and writes an object to it, which must fail: what users see of credentials that are not good.
 *
 *   object_refused CODE WORDS URL [KEY=VALUE…]
 *
 * Exit 0 when it failed with that code and a message that has these words, and neither message nor log lines
 * have what the files named by the options *-file hold (ca-file is no secret). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/log.h"
#include "plugins/load.h"
#include "plugins/store.h"

#define OPTIONS_MAX 16

static struct nacre_option options[OPTIONS_MAX];
static size_t option_count;
static bool told;

static void look(const char *text)
{
    for (size_t i = 0; i < option_count; i++) {
        char secret[8192] = "";
        size_t size = strlen(options[i].key);
        if (size < 5 || strcmp(options[i].key + size - 5, "-file") != 0 || !strcmp(options[i].key, "ca-file"))
            continue;
        FILE *file = fopen(options[i].value, "r");
        if (!file || !fgets(secret, sizeof secret, file))
            secret[0] = '\0';
        if (file)
            fclose(file);
        secret[strcspn(secret, "\n")] = '\0';
        const char *signature = strstr(secret, "sig="); /* of a shared access signature only this is secret */
        if (strlen(secret) > 8 && strstr(text, signature ? signature : secret)) {
            fprintf(stderr, "%s is told: %s\n", options[i].key, text);
            told = true;
        }
    }
}

static void receive(void *ctx, enum nacre_log_level level, const char *message)
{
    (void)ctx;
    (void)level;
    look(message);
}

static int try(const char *url, struct nacre_err *e)
{
    struct nacre_object_store *store = NULL;
    if (plugin_open_store(url, options, option_count, &store, e) < 0)
        return -1;
    char name[64];
    snprintf(name, sizeof name, "new/%d", (int)getpid());
    int result = store_put(store, name, "text", 4, e);
    store_close(store);
    return result;
}

int main(int argc, char **argv)
{
    struct nacre_err e = {0};
    if (argc < 4) {
        fprintf(stderr, "usage: object_refused CODE WORDS URL [KEY=VALUE...]\n");
        return 2;
    }
    for (int i = 4; i < argc && option_count < OPTIONS_MAX; i++) {
        char *equals = strchr(argv[i], '=');
        if (!equals)
            return 2;
        *equals = '\0';
        options[option_count++] = (struct nacre_option){argv[i], equals + 1};
    }
    log_set_level(NACRE_LOG_DEBUG);
    log_set_receiver(receive, NULL);
    if (try(argv[3], &e) == 0) {
        fprintf(stderr, "%s: it was not refused\n", argv[3]);
        return 1;
    }
    printf("%s: %s\n", err_code_name(e.code), e.message);
    look(e.message);
    if (strcmp(err_code_name(e.code), argv[1]) != 0 || !strstr(e.message, argv[2])) {
        fprintf(stderr, "expected %s with \"%s\"\n", argv[1], argv[2]);
        return 1;
    }
    return told;
}
