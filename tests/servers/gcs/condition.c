/* SPDX-License-Identifier: Apache-2.0 */
/* Preconditions on generations. A generation of 0 is that of an object that is not there. */
#include "gcs.h"

static const char *const keys[] = {"ifGenerationMatch", "ifGenerationNotMatch", "ifMetagenerationMatch",
                                   "ifMetagenerationNotMatch"};

bool conditions_parse(const struct request *r, struct conditions *out)
{
    *out = (struct conditions){0};
    for (int i = 0; i < 4; i++) {
        const char *text = request_parameter(r, keys[i]);
        if (!text)
            continue;
        char *end;
        out->has[i] = true;
        out->value[i] = strtoull(text, &end, 10);
        if (*text < '0' || *text > '9' || *end)
            return false;
    }
    return true;
}

unsigned conditions_check(const struct conditions *c, const struct object *object, bool reading)
{
    uint64_t actual[2] = {object ? object->generation : 0, object ? 1 : 0};
    for (int i = 0; i < 4; i++) {
        bool equal = c->value[i] == actual[i / 2], wants_equal = i % 2 == 0;
        if (c->has[i] && equal != wants_equal)
            return reading && !wants_equal ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_PRECONDITION_FAILED;
    }
    return MHD_HTTP_OK;
}
