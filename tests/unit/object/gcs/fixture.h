/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the store `gcs` share: a service that plays a script, an environment without credentials,
 * a store opened on it, a key. */
#ifndef GCS_FIXTURE_H
#define GCS_FIXTURE_H

#include "../../common/support.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "gcs.h"
#include "server.h"

enum ending { KEEP, HANG_UP, RESET };

/* One request that is expected, and the answer to it. '@' in headers and body is the service's URL. */
struct step {
    const char *method, *target; /* the target begins with this */
    const char *header;          /* "Name: value" that must be there, or NULL; "!Name" that must not */
    int status;                  /* 0 = no answer */
    const char *headers, *body;
    enum ending ending;
};

#define BODIES_MAX 32

struct play {
    struct server *server;
    const struct step *steps;
    size_t count;
    char problems[4000];           /* what was not as the script has it */
    struct buf bodies[BODIES_MAX]; /* of the requests, in their order */
    char targets[BODIES_MAX][512];
};

#define PLAY(name, ...)                                                                                      \
    const struct step name##_steps[] = {__VA_ARGS__};                                                        \
    CLEANUP(play_stop)                                                                                       \
    struct play name = {.steps = name##_steps, .count = sizeof name##_steps / sizeof *name##_steps};         \
    play_start(&name)

void play_start(struct play *play);
void play_check(struct play *play); /* all steps were played, and nothing else happened */
void play_stop(struct play *play);
static inline void play_stop_at(struct play *play)
{
    play_stop(play);
}

/* A directory of the test program's own, removed at its end; and a file in it, whose path is good
 * until the next is written. */
const char *scratch(void);
const char *write_file(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For cmocka: an environment in which no credentials can be found. */
int clean_environment(void **state);

/* Opens gs://b/p with the endpoint and further options, key and value, NULL at their end. */
int open_store_with(const char *endpoint, struct nacre_object_store **out, struct nacre_err *e,
                    const char *const *further);
#define open_store(endpoint, out, e, ...)                                                                    \
    open_store_with(endpoint, out, e, (const char *const[]){__VA_ARGS__})
/* The same, anonymous; must succeed. */
struct nacre_object_store *open_anonymous(const struct play *play);
/* The same with sizes for resumable uploads: 256 KiB for all. */
struct nacre_object_store *open_resumable(const struct play *play);
void store_close(struct nacre_object_store *store);
CLEANUP_DEFINE(struct nacre_object_store *, store_close)

extern bool stop_asked; /* what the store is told when it asks */

/* All log messages since clean_environment, for what must not be among them. */
const char *logged(void);

/* An RSA key, made once, and its PEM with "\n" for line ends, as it stands in JSON. */
EVP_PKEY *test_key(void);
const char *test_key_json(void);

#endif
