/* SPDX-License-Identifier: Apache-2.0 */
/* The fixture of the engine's tests. restic is $RESTIC, or /usr/bin/restic; a test that needs it fails
 * without. */
#include "fixture.h"

#include <ftw.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/err.h"
#include "snapshot/history.h"

struct faults faults = {.fail_read_at = UINT64_MAX};

/* ---- the driver in between ---- */

static struct nacre_driver *inner;
static struct nacre_driver outer;
static struct nacre_lifecycle_ops lifecycle;
static struct nacre_block_ops block;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static int get(struct nacre_driver *d, const char *path, struct nacre_volume_info **out, struct nacre_err *e)
{
    (void)d;
    return inner->lifecycle->get(inner, path, out, e);
}

static void free_info(struct nacre_driver *d, struct nacre_volume_info *info)
{
    (void)d;
    inner->lifecycle->free_info(inner, info);
}

static int snapshot_create(struct nacre_driver *d, const char *path, const char *snap, struct nacre_err *e)
{
    (void)d;
    return inner->lifecycle->snapshot_create(inner, path, snap, e);
}

static int snapshot_list(struct nacre_driver *d, const char *path, nacre_snapshot_entry *entry, void *ctx,
                         struct nacre_err *e)
{
    (void)d;
    return inner->lifecycle->snapshot_list(inner, path, entry, ctx, e);
}

static int snapshot_drop(struct nacre_driver *d, const char *path, const char *snap, struct nacre_err *e)
{
    (void)d;
    if (faults.remove_result)
        return err_set(e, faults.remove_result, "told to fail");
    return inner->lifecycle->snapshot_remove(inner, path, snap, e);
}

static int group_create(struct nacre_driver *d, const char *const *paths, size_t count, const char *snap,
                        struct nacre_err *e)
{
    (void)d;
    return inner->lifecycle->group_snapshot_create(inner, paths, count, snap, e);
}

static int block_open(struct nacre_driver *d, const char *path, const char *snap, enum nacre_block_mode mode,
                      struct nacre_block **out, struct nacre_err *e)
{
    (void)d;
    return inner->block->open(inner, path, snap, mode, out, e);
}

static int block_extents(struct nacre_block *b, const char *base, uint64_t offset, uint64_t length,
                         nacre_extent_entry *entry, void *ctx, struct nacre_err *e)
{
    if (base && faults.base_result)
        return err_set(e, faults.base_result, "told to fail");
    int rc = inner->block->extents(b, base, offset, length, entry, ctx, e);
    if (base && faults.on_mapped)
        faults.on_mapped(faults.ctx);
    return rc;
}

static int block_submit(struct nacre_block *b, struct nacre_block_op *op, struct nacre_err *e)
{
    pthread_mutex_lock(&mutex);
    unsigned number = ++faults.reads;
    pthread_mutex_unlock(&mutex);
    if (faults.on_read)
        faults.on_read(faults.ctx, number);
    if (op->offset <= faults.fail_read_at && faults.fail_read_at < op->offset + op->length) {
        op->done(op, NACRE_TRANSIENT, "told to fail");
        return 0;
    }
    return inner->block->submit(b, op, e);
}

static struct nacre_driver *wrap(struct nacre_driver *hostpath)
{
    inner = hostpath;
    lifecycle = (struct nacre_lifecycle_ops){.size = sizeof lifecycle,
                                             .get = get,
                                             .free_info = free_info,
                                             .snapshot_create = snapshot_create,
                                             .snapshot_list = snapshot_list,
                                             .snapshot_remove = snapshot_drop,
                                             .group_snapshot_create = group_create};
    block = *hostpath->block;
    block.open = block_open;
    block.extents = block_extents;
    block.submit = block_submit;
    outer = (struct nacre_driver){.lifecycle = &lifecycle, .block = &block};
    return &outer;
}

/* ---- opening and closing ---- */

static void must(int rc, const struct nacre_err *e)
{
    if (rc)
        fail_msg("%s: %s", err_code_name(e->code), e->message);
}

static const struct repo_options repo_place = {.path = "restic/default", .where = "the test's repository"};

void fixture_open(struct fixture *fx, const char *dir)
{
    char url[160], volumes[160];
    struct nacre_err e = {0};
    const char *tmp = getenv("TMPDIR");
    *fx = (struct fixture){0};
    faults = (struct faults){.fail_read_at = UINT64_MAX};
    snprintf(fx->dir, sizeof fx->dir, "%s/nacre-backup-XXXXXX", tmp ? tmp : "/tmp");
    if (dir)
        snprintf(fx->dir, sizeof fx->dir, "%s", dir);
    else
        assert_non_null(mkdtemp(fx->dir));
    snprintf(url, sizeof url, "file://%s/store", fx->dir);
    snprintf(volumes, sizeof volumes, "%s/volumes", fx->dir);
    mkdir(volumes, 0700);
    const struct nacre_option options[] = {{"cluster", "local"}, {"path", volumes}};
    must(plugin_open_driver("hostpath", options, 2, &fx->hostpath, &e), &e);
    must(plugin_open_store(url, NULL, 0, &fx->store, &e), &e);
    fx->driver = wrap(fx->hostpath);
    int rc = dir ? repo_open(fx->store, &repo_place, PASSWORD, &fx->repo, &e)
                 : repo_init(fx->store, &repo_place, PASSWORD, 2, &fx->repo, &e);
    must(rc, &e);
}

bool fixture_break_store(struct fixture *fx, ...)
{
    struct nacre_option options[8];
    char keys[8][64];
    size_t count = 0;
    struct nacre_err e = {0};
    va_list args;
    va_start(args, fx);
    for (const char *text; (text = va_arg(args, const char *)); count++) {
        const char *equals = strchr(text, '=');
        snprintf(keys[count], sizeof keys[count], "%.*s", (int)(equals - text), text);
        options[count] = (struct nacre_option){keys[count], equals + 1};
    }
    va_end(args);
    repo_free(fx->repo);
    fx->repo = NULL;
    must(plugin_wrap_store("fault", options, count, &fx->store, &e), &e);
    return !repo_open(fx->store, &repo_place, PASSWORD, &fx->repo, &e);
}

void fixture_close(struct fixture *fx)
{
    repo_free(fx->repo);
    store_close(fx->store);
    driver_close(fx->hostpath);
    fx->repo = NULL;
    fx->store = NULL;
    fx->hostpath = NULL;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

void fixture_destroy(struct fixture *fx)
{
    fixture_close(fx);
    nftw(fx->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int fixture_setup(void **state)
{
    struct fixture *fx = malloc(sizeof *fx);
    fixture_open(fx, NULL);
    *state = fx;
    return 0;
}

int fixture_teardown(void **state)
{
    fixture_destroy(*state);
    free(*state);
    return 0;
}

/* ---- volumes ---- */

void volume_make(struct fixture *fx, const char *name, uint64_t bytes)
{
    struct nacre_err e = {0};
    const struct nacre_option metadata = {"owner", "a test"};
    const struct nacre_volume_spec spec = {.bytes = bytes, .metadata = &metadata, .metadata_count = 1};
    must(fx->hostpath->lifecycle->create(fx->hostpath, name, &spec, &e), &e);
}

struct waiter {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool finished;
    enum nacre_code result;
};

static void finished(struct nacre_block_op *op, enum nacre_code result, const char *message)
{
    struct waiter *waiter = op->ctx;
    (void)message;
    pthread_mutex_lock(&waiter->mutex);
    waiter->finished = true;
    waiter->result = result;
    pthread_cond_signal(&waiter->changed);
    pthread_mutex_unlock(&waiter->mutex);
}

static void change(struct fixture *fx, const char *name, const struct nacre_block_op *wanted)
{
    struct nacre_block *b = NULL;
    struct nacre_err e = {0};
    struct waiter waiter = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, NACRE_OK};
    struct nacre_block_op op = *wanted;
    op.done = finished;
    op.ctx = &waiter;
    must(fx->hostpath->block->open(fx->hostpath, name, NULL, NACRE_BLOCK_WRITE, &b, &e), &e);
    must(fx->hostpath->block->submit(b, &op, &e), &e);
    pthread_mutex_lock(&waiter.mutex);
    while (!waiter.finished)
        pthread_cond_wait(&waiter.changed, &waiter.mutex);
    pthread_mutex_unlock(&waiter.mutex);
    assert_int_equal(NACRE_OK, waiter.result);
    must(fx->hostpath->block->flush(b, &e), &e);
    fx->hostpath->block->close(b);
}

void volume_fill(struct fixture *fx, const char *name, uint64_t offset, uint64_t length, uint64_t seed)
{
    CLEANUP(mem_free) uint8_t *data = malloc(length);
    uint64_t x = seed * 0x9e3779b97f4a7c15ull + offset + 1;
    for (uint64_t i = 0; i < length; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        data[i] = (uint8_t)(x | 1); /* never zero */
    }
    change(fx, name,
           &(struct nacre_block_op){
               .kind = NACRE_BLOCK_OP_WRITE, .offset = offset, .length = length, .buffer = data});
}

void volume_zero(struct fixture *fx, const char *name, uint64_t offset, uint64_t length)
{
    CLEANUP(mem_free) uint8_t *data = calloc(1, length);
    change(fx, name,
           &(struct nacre_block_op){
               .kind = NACRE_BLOCK_OP_WRITE, .offset = offset, .length = length, .buffer = data});
}

void volume_discard(struct fixture *fx, const char *name, uint64_t offset, uint64_t length)
{
    change(fx, name,
           &(struct nacre_block_op){.kind = NACRE_BLOCK_OP_ZERO, .offset = offset, .length = length});
}

void volume_truncate(struct fixture *fx, const char *name, uint64_t bytes)
{
    char path[256];
    snprintf(path, sizeof path, "%s/volumes/%s/data", fx->dir, name);
    assert_int_equal(0, truncate(path, (off_t)bytes));
}

void volume_remove(struct fixture *fx, const char *name)
{
    struct nacre_err e = {0};
    must(fx->hostpath->lifecycle->remove(fx->hostpath, name, &e), &e);
}

void source_snapshot(struct fixture *fx, const char *name, const char *snap)
{
    struct nacre_err e = {0};
    must(fx->hostpath->lifecycle->snapshot_create(fx->hostpath, name, snap, &e), &e);
}

void source_snapshot_remove(struct fixture *fx, const char *name, const char *snap)
{
    struct nacre_err e = {0};
    must(fx->hostpath->lifecycle->snapshot_remove(fx->hostpath, name, snap, &e), &e);
}

unsigned bases_of(struct fixture *fx, const char *volume, char *name)
{
    CLEANUP(history_free) struct history history = {0};
    struct nacre_err e = {0};
    unsigned count = 0;
    must(history_load(fx->hostpath, volume, &history, &e), &e);
    for (size_t i = 0; i < history.count; i++)
        if (!strncmp(history.items[i].name, "nacre-", 6)) {
            count++;
            if (name)
                memcpy(name, history.items[i].name, sizeof history.items[i].name);
        }
    return count;
}

/* ---- backups ---- */

struct backup_options options_of(const char *name)
{
    return (struct backup_options){.name = name, .chunk_size = CHUNK, .level = 1};
}

int back_up_all(struct fixture *fx, const struct backup_options *options, struct backup_result *result,
                struct nacre_err *e, ...)
{
    struct backup_source sources[8];
    struct backup_progress progress = {0};
    size_t count = 0;
    va_list args;
    va_start(args, e);
    for (const char *text; (text = va_arg(args, const char *)); count++) {
        char ref[256];
        snprintf(ref, sizeof ref, "hostpath/local/%s", text);
        sources[count].driver = fx->driver;
        must(volume_ref_parse(ref, &sources[count].ref, e), e);
    }
    va_end(args);
    faults.reads = 0;
    int rc = backup_run(fx->repo, sources, count, options, 0, &progress, result, e);
    assert_int_equal(count, result->count);
    if (!rc)
        assert_int_equal(progress.bytes_total, progress.bytes_done);
    return rc;
}

void back_up(struct fixture *fx, const struct backup_options *options, const char *volume,
             struct backup_volume *out)
{
    CLEANUP(backup_result_free) struct backup_result result = {0};
    struct nacre_err e = {0};
    must(back_up_all(fx, options, &result, &e, volume, END), &e);
    *out = result.volumes[0];
    assert_int_equal(BACKUP_COMPLETED, out->phase);
    assert_int_equal(NACRE_OK, out->error.code);
    assert_int_equal(out->chunks_total, out->chunks_hole + out->chunks_unchanged + out->chunks_read);
    assert_int_equal(out->chunks_read, out->chunks_zero + out->chunks_known + out->chunks_new);
    assert_int_equal(0, lock_count(fx));
}

/* ---- the repository, as others see it ---- */

int shell(const struct fixture *fx, const char *format, ...)
{
    CLEANUP(buf_free) struct buf command = {0};
    const char *restic = getenv("RESTIC");
    buf_printf(&command,
               "cd '%s' && export RESTIC_PASSWORD=" PASSWORD
               " && R='%s --no-cache -q -r store/restic/default' && ",
               fx->dir, restic ? restic : "/usr/bin/restic");
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buf_string(&command, text);
    assert_false(buf_failed(&command));
    int status = system((const char *)command.data); /* pipes of restic and cmp */
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void expect_sound(const struct fixture *fx)
{
    assert_int_equal(0, shell(fx, "$R check --read-data > check.log 2>&1 || { cat check.log >&2; false; }"));
}

void expect_dump(const struct fixture *fx, const struct backup_volume *saved, const char *volume)
{
    char hex[ID_HEX_SIZE];
    id_format(&saved->snapshot, hex);
    assert_int_equal(0, shell(fx, "$R dump %s /disk.img | cmp - volumes/%s/data", hex, volume));
}

size_t snapshot_count(struct fixture *fx)
{
    CLEANUP(snapshot_list_free) struct snapshot_list list = {0};
    struct nacre_err e = {0};
    must(snapshot_list_load(fx->repo, &list, &e), &e);
    return list.count;
}

static int count_one(void *ctx, const struct lock_info *info)
{
    (void)info;
    ++*(size_t *)ctx;
    return 0;
}

size_t lock_count(struct fixture *fx)
{
    size_t count = 0;
    struct nacre_err e = {0};
    must(lock_each(fx->repo, count_one, &count, &e), &e);
    return count;
}
