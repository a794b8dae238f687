/* SPDX-License-Identifier: Apache-2.0 */
/* What the two plugin ABIs share: the version rule, errors, configuration.
 *
 * Version rule. NACRE_PLUGIN_ABI changes only when an existing plugin could no longer work; the host
 * refuses a plugin that was built with another number. Everything else grows by appending: every table
 * of functions opens with `size`, the bytes of it that its maker knew, and a function that lies beyond
 * that size, or is NULL, is one that the plugin does not offer. Enumerators are only ever appended.
 *
 * Strings are UTF-8 and NUL-terminated unless a comment says otherwise. Sizes and offsets are bytes.
 */
#ifndef NACRE_PLUGIN_H
#define NACRE_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NACRE_PLUGIN_ABI 1u

/* On the one symbol that a plugin exports, so that it may be built with hidden visibility. */
#define NACRE_EXPORT __attribute__((visibility("default")))

/* What went wrong, as far as the program acts on it. The message is for people. */
enum nacre_code {
    NACRE_OK = 0,
    NACRE_FAILED,         /* permanent, and none of the following */
    NACRE_INVALID,        /* the caller's input is at fault */
    NACRE_ABSENT,         /* what was named does not exist */
    NACRE_EXISTS,         /* it exists already */
    NACRE_DENIED,         /* credentials or permissions */
    NACRE_CORRUPT,        /* stored bytes are not what they should be */
    NACRE_TRANSIENT,      /* may succeed when tried again */
    NACRE_THROTTLED,      /* transient; the service asks to slow down */
    NACRE_NO_SPACE,       /* full, or over quota */
    NACRE_BUSY,           /* in use by someone else */
    NACRE_LOCKED,         /* a repository lock is in the way */
    NACRE_WRONG_PASSWORD, /* no key opens with it */
    NACRE_UNSUPPORTED,    /* this plugin, cluster or version cannot do it */
    NACRE_CANCELLED,      /* stopped on request */
    NACRE_PARTIAL,        /* some of it failed, the rest is done */
};

#define NACRE_MESSAGE_SIZE 1024

/* Lives on the caller's stack, so that reporting an error cannot fail. A function that takes one sets it
 * exactly when it returns a negative number (or NULL, where it says so). Never NULL. */
struct nacre_err {
    enum nacre_code code;
    uint32_t retry_after_ms; /* with NACRE_THROTTLED: the wait that the service asked for, 0 = not said */
    char message[NACRE_MESSAGE_SIZE];
};

enum nacre_log_level { NACRE_LOG_ERROR, NACRE_LOG_WARNING, NACRE_LOG_INFO, NACRE_LOG_DEBUG };

struct nacre_option {
    const char *key;
    const char *value;
};

/* What a plugin is opened with. Borrowed: valid during the open call only, save `log` and `cancelled`,
 * which are good as long as the handle. Keys are those of the location or cluster in the configuration
 * file, in its spelling; a plugin refuses keys it does not know, naming them, except those the host
 * keeps for itself (it does not pass them on). */
struct nacre_config {
    uint32_t size;
    const struct nacre_option *options;
    size_t option_count;
    /* Thread-safe. `message` has no newline and no secrets. */
    void (*log)(enum nacre_log_level level, const char *message);
    /* Thread-safe. True once the program was asked to stop: long waits should end with NACRE_CANCELLED. */
    bool (*cancelled)(void);
};

#ifdef __cplusplus
}
#endif
#endif
