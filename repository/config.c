/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing the config. The version is looked at first: what else a future version says need not
 * be understood to refuse it rightly. */
#include "repository/config.h"

#include <inttypes.h>
#include <string.h>

#include "common/err.h"
#include "common/json.h"
#include "repository/crypto.h"
#include "repository/polynomial.h"

int config_random(struct config *out, unsigned version, struct nacre_err *e)
{
    struct id id;
    if (random_bytes(&id, sizeof id, e) < 0 || polynomial_random(&out->polynomial, e) < 0)
        return -1;
    id_format(&id, out->id);
    out->version = version;
    return 0;
}

void config_format(const struct config *config, struct buf *out)
{
    buf_printf(out, "{\"version\":%u,\"id\":\"%s\",\"chunker_polynomial\":\"%" PRIx64 "\"}", config->version,
               config->id, config->polynomial);
}

static bool parse_polynomial(const char *text, uint64_t *out)
{
    size_t digits = strspn(text, "0123456789abcdefABCDEF");
    if (!digits || digits > 16 || text[digits])
        return false;
    *out = strtoull(text, NULL, 16);
    return polynomial_valid(*out);
}

int config_parse(const void *json, size_t size, struct config *out, struct nacre_err *e)
{
    CLEANUP(json_value_free) json_t *object = NULL;
    uint64_t version = 0;
    const char *id = "", *polynomial = "";
    struct id parsed;
    if (json_parse_object(json, size, CONFIG_SIZE_MAX, &object, e) < 0 ||
        json_get_uint(object, "version", INT32_MAX, &version, e) < 0)
        return -1;
    if (version > CONFIG_VERSION_MAX)
        return err_set(e, NACRE_UNSUPPORTED,
                       "format version %" PRIu64
                       " is newer than this nacre, which knows 1 and 2; get a newer "
                       "nacre",
                       version);
    if (version < 1)
        return err_set(e, NACRE_CORRUPT, "the config states no format version");
    if (json_get_string(object, "id", &id, e) < 0 ||
        json_get_string(object, "chunker_polynomial", &polynomial, e) < 0)
        return -1;
    if (!id_parse(&parsed, id))
        return err_set(e, NACRE_CORRUPT, "the id in the config is not 64 hexadecimal digits");
    if (!parse_polynomial(polynomial, &out->polynomial))
        return err_set(e, NACRE_CORRUPT,
                       "the chunker polynomial in the config is not an irreducible one of degree 53");
    out->version = (unsigned)version;
    id_format(&parsed, out->id);
    return 0;
}
