/* SPDX-License-Identifier: Apache-2.0 */
/* Partial answers: "nextPageToken,items(name,size)", "items/name", "*". A mask that names what is not there
 * selects nothing, one that is malformed is refused. */
#include "gcs.h"

#include <string.h>

#define DEPTH_MAX 8

static bool apply(const char **at, const json_t *value, json_t *out, int depth);

/* One level of the mask below `key`, merged into out[key]. */
static bool descend(const char **at, const json_t *value, const char *key, json_t *out, int depth)
{
    json_t *below = json_object_get(out, key);
    if (json_is_array(value)) {
        const char *begin = *at;
        size_t i;
        json_t *element;
        if (!below) {
            below = json_array();
            json_object_set_new(out, key, below);
            for (i = 0; i < json_array_size(value); i++)
                json_array_append_new(below, json_object());
        }
        const char *end = NULL;
        json_array_foreach(value, i, element)
        {
            *at = begin;
            if (!apply(at, element, json_array_get(below, i), depth + 1))
                return false;
            end = *at;
        }
        if (end)
            return true;
        *at = begin;
    } else if (json_is_object(value)) {
        if (!below) {
            below = json_object();
            json_object_set_new(out, key, below);
        }
        return apply(at, value, below, depth + 1);
    }
    json_auto_t *nowhere = json_object(); /* only its syntax counts */
    return apply(at, NULL, nowhere, depth + 1);
}

static bool one(const char **at, const json_t *value, json_t *out, int depth)
{
    char key[64];
    size_t length = strspn(*at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-*");
    if (!length || length >= sizeof key || depth > DEPTH_MAX)
        return false;
    memcpy(key, *at, length);
    key[length] = '\0';
    *at += length;
    const json_t *below = json_object_get(value, key);
    if (**at == '/' || **at == '(') {
        bool list = *(*at)++ == '(';
        if (!list) {
            if (below && (json_is_object(below) || json_is_array(below)))
                return descend(at, below, key, out, depth);
            json_auto_t *nowhere = json_object();
            return one(at, NULL, nowhere, depth + 1);
        }
        if (!descend(at, below, key, out, depth) || **at != ')')
            return false;
        (*at)++;
        return true;
    }
    if (!strcmp(key, "*") && value)
        json_object_update(out, (json_t *)value);
    else if (below)
        json_object_set(out, key, (json_t *)below);
    return true;
}

/* A list down to its end or its ')'. After a '/' the list of one ends at the comma, which is the caller's. */
static bool apply(const char **at, const json_t *value, json_t *out, int depth)
{
    bool after_slash = (*at)[-1] == '/';
    for (;;) {
        if (!one(at, value, out, depth))
            return false;
        if (**at != ',' || after_slash)
            return true;
        (*at)++;
    }
}

json_t *fields_apply(const char *mask, const json_t *value)
{
    json_t *out = json_object();
    size_t length = strlen(mask);
    CLEANUP(mem_free) char *text = malloc(length + 2);
    if (!out || !text) {
        json_decref(out);
        return NULL;
    }
    text[0] = ','; /* so that there is a byte before the first */
    memcpy(text + 1, mask, length + 1);
    const char *at = text + 1;
    if (!apply(&at, value, out, 0) || *at) {
        json_decref(out);
        return NULL;
    }
    return out;
}
