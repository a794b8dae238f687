/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file: whatever its bytes, it is read or refused with a message; names and keys that are
 * read are clean. One that was read is edited, or left as it was. */
#include <stdlib.h>
#include <string.h>

#include "cli/settings_edit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_entries(const struct settings_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!*entries[i].name || strchr(entries[i].name, '/') || entries[i].option_count > SETTINGS_KEYS_MAX)
            abort();
        for (size_t j = 0; j < entries[i].option_count; j++)
            if (!*entries[i].options[j].key || !entries[i].options[j].value)
                abort();
    }
}

static void edit(const uint8_t *data, size_t size, enum settings_verb verb, const char *location)
{
    static const struct nacre_option options[] = {{"url", "x://\"y"}, {"access-mode", "ReadOnly"}};
    const struct settings_edit change = {verb, location, options + (verb == SETTINGS_DROP),
                                         2 - (verb == SETTINGS_DROP)};
    struct nacre_err e = {0};
    struct buf text = {0};
    buf_append(&text, data, size);
    if (settings_edit_text(&text, "config.yaml", &change, &e) < 0) {
        if (e.code == NACRE_OK || !*e.message || text.size != size ||
            (size && memcmp(text.data, data, size) != 0))
            abort();
    } else {
        struct settings *settings = NULL;
        if (settings_parse(text.data, text.size, "config.yaml", &settings, &e) < 0)
            abort();
        if (!settings_location(settings, location) != (verb == SETTINGS_REMOVE))
            abort();
        settings_free(settings);
    }
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings *settings = NULL;
    struct nacre_err e = {0};
    if (settings_parse(data, size, "config.yaml", &settings, &e) < 0) {
        if (e.code == NACRE_OK || !*e.message)
            abort();
        return 0;
    }
    check_entries(settings->clusters, settings->cluster_count);
    check_entries(settings->locations, settings->location_count);
    edit(data, size, SETTINGS_ADD, "fuzz-made");
    if (settings->location_count) {
        edit(data, size, SETTINGS_SET, settings->locations[0].name);
        edit(data, size, SETTINGS_DROP, settings->locations[0].name);
        edit(data, size, SETTINGS_REMOVE, settings->locations[0].name);
    }
    settings_free(settings);
    return 0;
}
