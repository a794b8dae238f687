/* SPDX-License-Identifier: Apache-2.0 */
/* XML answers, read by expat. A document type is refused: no service sends one, and it is how entities that
 * expand without bound come in. */
#include "http/xml.h"

#include <expat.h>
#include <limits.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/err.h"

#define DEPTH_MAX 16

struct reader {
    XML_Parser parser;
    xml_leaf *leaf;
    xml_end *end;
    void *ctx;
    struct nacre_err *e;
    struct buf path; /* names joined by '/' */
    struct buf text; /* of the element that is open */
    unsigned depth;
    bool is_leaf; /* nothing opened since the last start */
    bool failed;  /* *e is set */
};

static void stop(struct reader *r)
{
    r->failed = true;
    XML_StopParser(r->parser, XML_FALSE);
}

static void refuse(struct reader *r, const char *why)
{
    err_set(r->e, NACRE_CORRUPT, "the service's XML cannot be read: %s", why);
    stop(r);
}

static void on_start(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
    struct reader *r = ctx;
    (void)attributes;
    if (r->failed)
        return;
    if (++r->depth > DEPTH_MAX) {
        refuse(r, "it is too deep");
        return;
    }
    const char *colon = strrchr(name, ':');
    if (r->path.size)
        buf_char(&r->path, '/');
    buf_string(&r->path, colon && colon[1] ? colon + 1 : name);
    buf_clear(&r->text);
    r->is_leaf = true;
}

static void on_text(void *ctx, const XML_Char *text, int size)
{
    struct reader *r = ctx;
    if (!r->failed)
        buf_append(&r->text, text, (size_t)size);
}

static void on_end(void *ctx, const XML_Char *name)
{
    struct reader *r = ctx;
    (void)name;
    if (r->failed)
        return;
    if (buf_failed(&r->path) || buf_failed(&r->text)) {
        err_no_memory(r->e, "a service's answer");
        stop(r);
        return;
    }
    const char *path = (const char *)r->path.data;
    int result = 0;
    if (r->is_leaf)
        result = r->leaf(r->ctx, path, r->text.size ? (const char *)r->text.data : "", r->e);
    else if (r->end)
        result = r->end(r->ctx, path, r->e);
    if (result < 0)
        stop(r);
    const char *slash = strrchr(path, '/');
    r->path.size = slash ? (size_t)(slash - path) : 0;
    r->path.data[r->path.size] = '\0';
    buf_clear(&r->text);
    r->depth--;
    r->is_leaf = false;
}

static void on_doctype(void *ctx, const XML_Char *name, const XML_Char *system, const XML_Char *public,
                       int internal)
{
    struct reader *r = ctx;
    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    if (!r->failed)
        refuse(r, "it has a document type");
}

static int parse(struct reader *r, const void *data, size_t size)
{
    XML_SetUserData(r->parser, r);
    XML_SetElementHandler(r->parser, on_start, on_end);
    XML_SetCharacterDataHandler(r->parser, on_text);
    XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
    if (XML_Parse(r->parser, data, (int)size, XML_TRUE) == XML_STATUS_OK && !r->failed)
        return 0;
    if (!r->failed)
        err_set(r->e, NACRE_CORRUPT, "the service's XML cannot be read: %s in line %lu",
                XML_ErrorString(XML_GetErrorCode(r->parser)),
                (unsigned long)XML_GetCurrentLineNumber(r->parser));
    return -1;
}

int xml_read(const void *data, size_t size, xml_leaf *leaf, xml_end *end, void *ctx, struct nacre_err *e)
{
    if (size > INT_MAX)
        return err_set(e, NACRE_CORRUPT, "the service's XML cannot be read: it is too long");
    struct reader r = {.parser = XML_ParserCreate(NULL), .leaf = leaf, .end = end, .ctx = ctx, .e = e};
    int result = r.parser ? parse(&r, size ? data : "", size) : err_no_memory(e, "a service's answer");
    XML_ParserFree(r.parser);
    buf_free(&r.path);
    buf_free(&r.text);
    return result;
}

struct finder {
    const char *path;
    struct buf *out;
    bool found;
};

static int find_leaf(void *ctx, const char *path, const char *text, struct nacre_err *e)
{
    struct finder *finder = ctx;
    (void)e;
    if (!finder->found && !strcmp(path, finder->path)) {
        finder->found = true;
        buf_string(finder->out, text);
    }
    return 0;
}

bool xml_find(const void *data, size_t size, const char *path, struct buf *out)
{
    struct finder finder = {.path = path, .out = out};
    struct nacre_err ignored;
    (void)xml_read(data, size, find_leaf, NULL, &finder, &ignored);
    return finder.found;
}
