/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a probe. Random bytes, so that what is read can only be what was written; a random name, so
 * that two probes, and others' objects, never meet. */
#include "cli/probe.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "common/err.h"
#include "common/log.h"

#define PROBE_BYTES (64u << 10)
#define PROBE_PART_AT 40000u
#define PROBE_PART_BYTES 1234u

struct probing {
    struct nacre_object_store *store;
    char name[64];
    uint8_t *data;
    struct buf got; /* with room for a copy */
};

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void probe_begin(struct probe *probe, const char *what)
{
    probe->steps[probe->count] = (struct probe_step){.what = what, .microseconds = now_us()};
}

int probe_end(struct probe *probe, int result, const struct nacre_err *e)
{
    struct probe_step *step = &probe->steps[probe->count++];
    step->microseconds = now_us() - step->microseconds;
    step->outcome = result < 0 ? PROBE_FAILED : result > 0 ? PROBE_SKIPPED : PROBE_DONE;
    if (result < 0)
        step->error = *e;
    return result;
}

static int write_object(struct probing *p, struct nacre_err *e)
{
    return store_put(p->store, p->name, p->data, PROBE_BYTES, e);
}

static int read_object(struct probing *p, struct nacre_err *e)
{
    if (store_get(p->store, p->name, PROBE_BYTES, &p->got, e) < 0)
        return -1;
    if (p->got.size != PROBE_BYTES || memcmp(p->got.data, p->data, PROBE_BYTES) != 0)
        return err_set(e, NACRE_CORRUPT, "object %s: other bytes came back than were written", p->name);
    return 0;
}

static int read_part(struct probing *p, struct nacre_err *e)
{
    uint8_t part[PROBE_PART_BYTES];
    if (store_get_range(p->store, p->name, PROBE_PART_AT, sizeof part, part, e) < 0)
        return -1;
    if (memcmp(part, p->data + PROBE_PART_AT, sizeof part) != 0)
        return err_set(e, NACRE_CORRUPT, "object %s: a part of it came back with other bytes", p->name);
    return 0;
}

static int write_again(struct probing *p, struct nacre_err *e)
{
    if (store_put_if_absent(p->store, p->name, p->data, 1, e) < 0)
        return e->code == NACRE_EXISTS ? 0 : -1;
    return err_set(
        e, NACRE_UNSUPPORTED,
        "object %s was replaced by a write that had to find it absent: this service does not honour "
        "conditional writes, so that two programs could overwrite each other's work",
        p->name);
}

struct finding {
    const char *name;
    bool found;
};

static int find_entry(void *ctx, const struct nacre_object_info *info)
{
    struct finding *finding = ctx;
    finding->found |= !strcmp(info->name, finding->name) && info->size == PROBE_BYTES;
    return finding->found;
}

static int list_object(struct probing *p, struct nacre_err *e)
{
    struct finding finding = {.name = p->name};
    if (store_list(p->store, p->name, find_entry, &finding, e) < 0)
        return -1;
    return finding.found
               ? 0
               : err_set(e, NACRE_FAILED, "the list lacks object %s, which was just written", p->name);
}

static int remove_object(struct probing *p, struct nacre_err *e)
{
    return store_remove(p->store, p->name, e);
}

static int see_gone(struct probing *p, struct nacre_err *e)
{
    struct nacre_object_info info;
    if (store_stat(p->store, p->name, &info, e) < 0)
        return e->code == NACRE_ABSENT ? 0 : -1;
    return err_set(e, NACRE_FAILED, "object %s is still there after it was deleted", p->name);
}

static int take_first(void *ctx, const struct nacre_object_info *info)
{
    struct probing *p = ctx;
    if (!info->size || strlen(info->name) >= NACRE_OBJECT_NAME_MAX)
        return 0;
    buf_string(&p->got, info->name);
    return 1;
}

static int list_any(struct probing *p, struct nacre_err *e)
{
    return store_list(p->store, "", take_first, p, e);
}

static int read_any(struct probing *p, struct nacre_err *e)
{
    uint8_t byte;
    if (!p->got.size)
        return 1; /* an empty location: there is nothing to read */
    return store_get_range(p->store, (const char *)p->got.data, 0, 1, &byte, e);
}

struct plan {
    const char *what;
    int (*run)(struct probing *p, struct nacre_err *e);
};

static const struct plan plan_write[] = {{"write", write_object},    {"read", read_object},
                                         {"read a part", read_part}, {"keep what is there", write_again},
                                         {"list", list_object},      {"delete", remove_object},
                                         {"be gone", see_gone}};
static const struct plan plan_read[] = {{"list", list_any}, {"read", read_any}};

/* After a failure. An answer to a write may have been lost: the object is looked for in any case. */
static void clean_up(struct probing *p)
{
    struct nacre_err e;
    if (store_remove(p->store, p->name, &e) < 0 && e.code != NACRE_ABSENT)
        log_warning("object %s may have stayed in the location: %s", p->name, e.message);
}

int probe_run(struct nacre_object_store *store, bool read_only, struct probe *probe, struct nacre_err *e)
{
    const struct plan *plan = read_only ? plan_read : plan_write;
    size_t count = read_only ? sizeof plan_read / sizeof *plan_read : sizeof plan_write / sizeof *plan_write;
    CLEANUP(mem_free) uint8_t *data = malloc(PROBE_BYTES);
    struct probing p = {.store = store, .data = data};
    uint64_t random;
    if (!data)
        return err_no_memory(e, "the probe");
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return err_set(e, NACRE_FAILED, "no random numbers");
    snprintf(p.name, sizeof p.name, "nacre-probe-%016llx", (unsigned long long)random);
    for (size_t i = 0; i < PROBE_BYTES; i += 256)
        if (getrandom(data + i, 256, 0) != 256)
            return err_set(e, NACRE_FAILED, "no random numbers");
    int result = 0;
    for (size_t i = 0; i < count && result >= 0; i++) {
        probe_begin(probe, plan[i].what);
        result = probe_end(probe, plan[i].run(&p, e), e);
    }
    if (result < 0 && !read_only)
        clean_up(&p);
    buf_free(&p.got);
    return result < 0 ? -1 : 0;
}
