/* SPDX-License-Identifier: Apache-2.0 */
/* The service of the script, and the store under test. */
#include "fixture.h"

#include <ftw.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <unistd.h>

bool stop_asked;

static void problem(struct play *play, const struct served *s, const char *what)
{
    size_t used = strlen(play->problems);
    snprintf(play->problems + used, sizeof play->problems - used, "request %u, %s %s: %s\n", s->number,
             s->method, s->target, what);
}

static void check_header(struct play *play, const struct served *s, const char *expected)
{
    char value[4096], name[64];
    bool absent = *expected == '!';
    const char *colon = strchr(expected, ':');
    snprintf(name, sizeof name, "%.*s", colon ? (int)(colon - expected) : 60, expected);
    bool found = served_header(s, absent ? name + 1 : name, value, sizeof value);
    if (absent ? found : !found || strcmp(colon + 2, value) != 0)
        problem(play, s, expected);
}

/* With '@' replaced by the service's URL. */
static char *filled(const struct play *play, const char *text)
{
    struct buf out = {0};
    buf_string(&out, "");
    for (; text && *text; text++)
        if (*text == '@')
            buf_string(&out, server_url(play->server));
        else
            buf_char(&out, *text);
    char *copy = strdup(out.size ? (char *)out.data : "");
    buf_free(&out);
    return copy;
}

static void serve(void *ctx, const struct served *s, struct answer *answer)
{
    struct play *play = ctx;
    if (s->number >= play->count || s->number >= BODIES_MAX) {
        problem(play, s, "not in the script");
        answer_text(answer, 500, "", "");
        return;
    }
    const struct step *step = &play->steps[s->number];
    if (strcmp(s->method, step->method) != 0 || strncmp(s->target, step->target, strlen(step->target)) != 0)
        problem(play, s, step->target);
    if (step->header)
        check_header(play, s, step->header);
    buf_append(&play->bodies[s->number], s->body, s->body_size);
    snprintf(play->targets[s->number], sizeof play->targets[0], "%s", s->target);
    char *headers = filled(play, step->headers), *body = filled(play, step->body);
    if (step->status == 204)
        answer_raw(answer, "HTTP/1.1 204 No Content\r\n\r\n", 27);
    else if (step->status)
        answer_text(answer, step->status, headers, body);
    free(headers);
    free(body);
    if (step->ending == HANG_UP)
        answer_hang_up(answer);
    if (step->ending == RESET)
        answer_reset(answer);
}

void play_start(struct play *play)
{
    play->server = server_start(serve, play);
}

void play_check(struct play *play)
{
    unsigned requests = server_requests(play->server);
    if (*play->problems)
        fail_msg("%s", play->problems);
    assert_int_equal(requests, play->count);
}

void play_stop(struct play *play)
{
    server_stop(play->server);
    for (size_t i = 0; i < BODIES_MAX; i++)
        buf_free(&play->bodies[i]);
}

static char directory[64];

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void remove_scratch(void)
{
    nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

const char *scratch(void)
{
    if (!*directory) {
        strcpy(directory, "/tmp/nacre-gcs-XXXXXX");
        assert_non_null(mkdtemp(directory));
        atexit(remove_scratch);
    }
    return directory;
}

const char *write_file(const char *name, const char *format, ...)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", scratch(), name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(file, format, arguments);
    va_end(arguments);
    assert_int_equal(fclose(file), 0);
    return path;
}

static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct buf log_text;

static void keep_log(enum nacre_log_level level, const char *message)
{
    (void)level;
    pthread_mutex_lock(&log_mutex);
    buf_string(&log_text, message);
    buf_char(&log_text, '\n');
    pthread_mutex_unlock(&log_mutex);
}

const char *logged(void)
{
    return log_text.size ? (const char *)log_text.data : "";
}

int clean_environment(void **state)
{
    static const char *const names[] = {"GOOGLE_APPLICATION_CREDENTIALS",
                                        "STORAGE_EMULATOR_HOST",
                                        "GCE_METADATA_HOST",
                                        "CLOUDSDK_CONFIG",
                                        "http_proxy",
                                        "https_proxy",
                                        "all_proxy",
                                        "HTTPS_PROXY",
                                        "ALL_PROXY",
                                        "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    setenv("HOME", scratch(), 1);
    buf_free(&log_text);
    stop_asked = false;
    return 0;
}

static bool cancelled(void)
{
    return __atomic_load_n(&stop_asked, __ATOMIC_RELAXED);
}

extern const struct nacre_object_store_plugin nacre_object_store_plugin;

int open_store_with(const char *endpoint, struct nacre_object_store **out, struct nacre_err *e,
                    const char *const *further)
{
    struct nacre_option options[8] = {{"endpoint", endpoint}};
    size_t count = endpoint ? 1 : 0;
    for (; count < 8 && further[0]; further += 2)
        options[count++] = (struct nacre_option){further[0], further[1]};
    const struct nacre_config config = {.size = sizeof config,
                                        .options = options,
                                        .option_count = count,
                                        .log = keep_log,
                                        .cancelled = cancelled};
    return nacre_object_store_plugin.open("gs://b/p", &config, out, e);
}

struct nacre_object_store *open_anonymous(const struct play *play)
{
    struct nacre_err e;
    struct nacre_object_store *store = NULL;
    assert_ok(open_store(server_url(play->server), &store, &e, "anonymous", "true", NULL));
    return store;
}

struct nacre_object_store *open_resumable(const struct play *play)
{
    struct nacre_err e;
    struct nacre_object_store *store = NULL;
    assert_ok(open_store(server_url(play->server), &store, &e, "anonymous", "true", "upload-threshold",
                         "262144", "chunk-size", "262144", NULL));
    return store;
}

void store_close(struct nacre_object_store *store)
{
    if (store)
        store->ops->close(store);
}

EVP_PKEY *test_key(void)
{
    static EVP_PKEY *key;
    if (!key)
        key = EVP_RSA_gen(2048);
    assert_non_null(key);
    return key;
}

const char *test_key_json(void)
{
    static char text[4096];
    char *pem = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, test_key(), NULL, NULL, 0, NULL, NULL), 1);
    long size = BIO_get_mem_data(bio, &pem);
    size_t used = 0;
    for (long i = 0; i < size; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, pem[i] == '\n' ? "\\n" : "%c", pem[i]);
    BIO_free(bio);
    return text;
}
