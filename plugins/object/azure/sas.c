/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the query that a shared access signature is. */
#include "sas.h"

#include <string.h>

#include "common/cleanup.h"
#include "common/timestamp.h"

bool sas_field(const char *sas, const char *name, struct buf *out)
{
    size_t name_size = strlen(name);
    for (const char *at = sas; *at; at += strcspn(at, "&"), at += *at == '&') {
        size_t size = strcspn(at, "&");
        if (size <= name_size || strncmp(at, name, name_size) != 0 || at[name_size] != '=')
            continue;
        for (size_t i = name_size + 1; i < size; i++) {
            char hex[3] = {at[i], i + 1 < size ? at[i + 1] : '\0', i + 2 < size ? at[i + 2] : '\0'};
            unsigned value;
            if (hex[0] == '%' && sscanf(hex + 1, "%2x", &value) == 1) { /* NOLINT(cert-err34-c): two digits */
                buf_char(out, (char)value);
                i += 2;
            } else {
                buf_char(out, at[i]);
            }
        }
        return !buf_failed(out);
    }
    return false;
}

bool sas_time(const char *sas, const char *name, int64_t *seconds)
{
    static const char rest[] = "T00:00:00Z";
    CLEANUP(buf_free) struct buf text = {0};
    int64_t ns;
    if (!sas_field(sas, name, &text) || !text.size)
        return false;
    if (text.size == strlen("2026-01-02"))
        buf_string(&text, rest);
    if (text.size == strlen("2026-01-02T03:04Z")) {
        text.data[--text.size] = '\0';
        buf_string(&text, rest + 6);
    }
    if (buf_failed(&text) || !timestamp_parse((const char *)text.data, &ns))
        return false;
    *seconds = ns / 1000000000;
    return true;
}
