/* SPDX-License-Identifier: Apache-2.0 */
/* The fixture of the restore engine's tests. restic is $RESTIC, or /usr/bin/restic; a test that needs it
 * fails without. */
#include "fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/log.h"
#include "repository/tree.h"

struct counts counts;

/* ---- the store in between ---- */

struct counting {
    struct nacre_object_store base;
    struct nacre_object_store *inner;
};

static struct nacre_object_store *inner_of(struct nacre_object_store *store)
{
    return ((struct counting *)store)->inner;
}

static void counting_close(struct nacre_object_store *store)
{
    store_close(inner_of(store));
    free(store);
}

static int counting_put(struct nacre_object_store *s, const char *name, const struct nacre_input *input,
                        struct nacre_err *e)
{
    return inner_of(s)->ops->put(inner_of(s), name, input, e);
}

static int counting_put_if_absent(struct nacre_object_store *s, const char *name,
                                  const struct nacre_input *input, struct nacre_err *e)
{
    return inner_of(s)->ops->put_if_absent(inner_of(s), name, input, e);
}

static int counting_get(struct nacre_object_store *s, const char *name, uint64_t offset, uint64_t length,
                        nacre_sink *sink, void *ctx, struct nacre_err *e)
{
    if (strstr(name, "/data/")) {
        if (counts.on_get)
            counts.on_get(counts.ctx);
        if (atomic_fetch_sub(&counts.fail_get_in, 1) == 0)
            return err_set(e, counts.fail_code, "told to fail");
        counts.gets++;
        counts.bytes += length;
    }
    return inner_of(s)->ops->get(inner_of(s), name, offset, length, sink, ctx, e);
}

static int counting_stat(struct nacre_object_store *s, const char *name, struct nacre_object_info *out,
                         struct nacre_err *e)
{
    return inner_of(s)->ops->stat(inner_of(s), name, out, e);
}

static int counting_list(struct nacre_object_store *s, const char *prefix, nacre_list_entry *entry, void *ctx,
                         struct nacre_err *e)
{
    return inner_of(s)->ops->list(inner_of(s), prefix, entry, ctx, e);
}

static int counting_remove(struct nacre_object_store *s, const char *name, struct nacre_err *e)
{
    return inner_of(s)->ops->remove(inner_of(s), name, e);
}

static const struct nacre_object_store_ops counting_ops = {
    .size = sizeof counting_ops,
    .close = counting_close,
    .put = counting_put,
    .put_if_absent = counting_put_if_absent,
    .get = counting_get,
    .stat = counting_stat,
    .list = counting_list,
    .remove = counting_remove,
};

/* ---- opening and closing ---- */

void must(int result, const struct nacre_err *e)
{
    if (result < 0)
        fail_msg("%s: %s", err_code_name(e->code), e->message);
}

void must_fail_with(int result, const struct nacre_err *e, enum nacre_code code, ...)
{
    if (result >= 0)
        fail_msg("it succeeded, which it must not");
    if (e->code != code)
        fail_msg("%s instead of %s: %s", err_code_name(e->code), err_code_name(code), e->message);
    va_list args;
    va_start(args, code);
    for (const char *text; (text = va_arg(args, const char *));)
        if (!strstr(e->message, text))
            fail_msg("no \"%s\" in: %s", text, e->message);
    va_end(args);
}

static void open_parts(struct fixture *fx)
{
    struct nacre_err e = {0};
    must(index_load(fx->repo, &fx->index, &e), &e);
    must(writer_new(fx->repo, fx->index, &(struct writer_options){.level = 1}, &fx->writer, &e), &e);
}

static void close_parts(struct fixture *fx)
{
    writer_free(MOVE(fx->writer));
    index_free(MOVE(fx->index));
    repo_free(MOVE(fx->repo));
}

static const struct repo_options repo_place = {.path = "restic/default", .where = "the test's repository"};

static void open_outside(struct fixture *fx)
{
    char text[192];
    struct nacre_err e = {0};
    counts = (struct counts){.fail_get_in = -1};
    struct counting *counting = calloc(1, sizeof *counting);
    counting->base.ops = &counting_ops;
    snprintf(text, sizeof text, "file://%s/store", fx->dir);
    must(plugin_open_store(text, NULL, 0, &counting->inner, &e), &e);
    fx->store = &counting->base;
    snprintf(text, sizeof text, "%s/volumes", fx->dir);
    mkdir(text, 0700);
    const struct nacre_option options[] = {{"cluster", "local"}, {"path", text}};
    must(plugin_open_driver("hostpath", options, 2, &fx->driver, &e), &e);
    log_set_level(NACRE_LOG_ERROR);
}

int fixture_setup(void **state)
{
    struct fixture *fx = calloc(1, sizeof *fx);
    struct nacre_err e = {0};
    const char *tmp = getenv("TMPDIR");
    snprintf(fx->dir, sizeof fx->dir, "%s/nacre-restore-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(fx->dir));
    open_outside(fx);
    must(repo_init(fx->store, &repo_place, PASSWORD, 2, &fx->repo, &e), &e);
    open_parts(fx);
    *state = fx;
    return 0;
}

void fixture_adopt(struct fixture *fx, const char *dir)
{
    struct nacre_err e = {0};
    *fx = (struct fixture){0};
    snprintf(fx->dir, sizeof fx->dir, "%s", dir);
    open_outside(fx);
    must(repo_open(fx->store, &repo_place, PASSWORD, &fx->repo, &e), &e);
    open_parts(fx);
}

void fixture_open_repo(struct fixture *fx, const char *path)
{
    struct nacre_err e = {0};
    const struct repo_options place = {.path = path, .where = "the test's repository"};
    close_parts(fx);
    must(repo_open(fx->store, &place, PASSWORD, &fx->repo, &e), &e);
    open_parts(fx);
}

void fixture_reload_index(struct fixture *fx)
{
    struct nacre_err e = {0};
    writer_free(MOVE(fx->writer));
    index_free(MOVE(fx->index));
    must(index_load(fx->repo, &fx->index, &e), &e);
    must(writer_new(fx->repo, fx->index, &(struct writer_options){.level = 1}, &fx->writer, &e), &e);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

void fixture_close(struct fixture *fx)
{
    close_parts(fx);
    store_close(fx->store);
    driver_close(fx->driver);
}

int fixture_teardown(void **state)
{
    struct fixture *fx = *state;
    fixture_close(fx);
    nftw(fx->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(fx);
    return 0;
}

/* ---- images ---- */

void chunk_bytes(const struct chunk *chunk, uint8_t *out)
{
    uint64_t x = chunk->seed * 0x9e3779b97f4a7c15ull + 1;
    for (uint32_t i = 0; i < chunk->length; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        out[i] = chunk->seed ? (uint8_t)(x | 1) : 0; /* never zero */
    }
}

uint64_t save_blobs(struct fixture *fx, const struct chunk *chunks, struct buf *ids)
{
    uint64_t size = 0;
    struct nacre_err e = {0};
    for (; chunks->length; chunks++) {
        CLEANUP(mem_free) uint8_t *data = malloc(chunks->length);
        struct id id;
        bool added;
        chunk_bytes(chunks, data);
        id_hash(&id, data, chunks->length);
        must(writer_save(fx->writer, BLOB_DATA, &id, data, chunks->length, &added, &e), &e);
        for (uint64_t i = 0; i < (chunks->repeat ? chunks->repeat : 1); i++, size += chunks->length)
            buf_append(ids, &id, sizeof id);
    }
    return size;
}

struct node file_node(const char *name, const struct buf *ids, uint64_t size)
{
    return (struct node){.name = name,
                         .name_size = strlen(name),
                         .type = NODE_FILE,
                         .mode = 0600,
                         .size = size,
                         .links = 1,
                         .content = (const struct id *)ids->data,
                         .content_count = ids->size / sizeof(struct id)};
}

struct node dir_node(const char *name, const struct id *subtree)
{
    return (struct node){.name = name,
                         .name_size = strlen(name),
                         .type = NODE_DIR,
                         .mode = NODE_MODE_DIR | 0700,
                         .links = 1,
                         .has_subtree = true,
                         .subtree = *subtree};
}

void save_tree(struct fixture *fx, const struct node *nodes, size_t count, struct id *out)
{
    CLEANUP(buf_free) struct buf json = {0};
    struct nacre_err e = {0};
    bool added;
    tree_begin(&json);
    for (size_t i = 0; i < count; i++)
        tree_node(&json, &nodes[i]);
    tree_end(&json);
    assert_false(buf_failed(&json));
    id_hash(out, json.data, json.size);
    must(writer_save(fx->writer, BLOB_TREE, out, json.data, json.size, &added, &e), &e);
}

struct snapshot *save_snapshot_with(struct fixture *fx, const struct id *root, ...)
{
    struct nacre_err e = {0};
    struct snapshot *snapshot = snapshot_new();
    assert_non_null(snapshot);
    snapshot->tree = *root;
    snapshot->time_ns = 1767323045000000000;
    snapshot->hostname = strdup("test");
    snapshot->username = strdup("test");
    must(snapshot_add_path(snapshot, "/hostpath/local/source", &e), &e);
    va_list args;
    va_start(args, root);
    for (const char *tag; (tag = va_arg(args, const char *));)
        must(snapshot_add_tag(snapshot, tag, &e), &e);
    va_end(args);
    must(writer_finish(fx->writer, &e), &e);
    must(snapshot_save(fx->repo, snapshot, &e), &e);
    return snapshot;
}

void write_expected(struct fixture *fx, const struct chunk *chunks)
{
    char path[192];
    uint64_t at = 0;
    snprintf(path, sizeof path, "%s/expected", fx->dir);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    assert_true(fd >= 0);
    for (; chunks->length; chunks++) {
        CLEANUP(mem_free) uint8_t *data = malloc(chunks->length);
        chunk_bytes(chunks, data);
        for (uint64_t i = 0; i < (chunks->repeat ? chunks->repeat : 1); i++, at += chunks->length)
            if (chunks->seed)
                assert_int_equal(chunks->length, pwrite(fd, data, chunks->length, (off_t)at));
    }
    assert_int_equal(0, ftruncate(fd, (off_t)at));
    close(fd);
}

struct snapshot *save_image(struct fixture *fx, const struct chunk *chunks)
{
    CLEANUP(buf_free) struct buf ids = {0};
    struct id root;
    uint64_t size = save_blobs(fx, chunks, &ids);
    const struct node node = file_node("disk.img", &ids, size);
    save_tree(fx, &node, 1, &root);
    write_expected(fx, chunks);
    return save_snapshot(fx, &root, "driver=hostpath", "metadata.owner=somebody");
}

/* ---- volumes ---- */

struct volume_ref volume_ref_of(const char *name)
{
    struct volume_ref ref = {.driver = "hostpath", .cluster = "local"};
    snprintf(ref.path, sizeof ref.path, "%s", name);
    return ref;
}

void volume_make(struct fixture *fx, const char *name, uint64_t bytes)
{
    struct nacre_err e = {0};
    must(fx->driver->lifecycle->create(fx->driver, name, &(struct nacre_volume_spec){.bytes = bytes}, &e),
         &e);
}

void volume_write(struct fixture *fx, const char *name, uint64_t offset, uint32_t length, uint64_t seed)
{
    char path[256];
    CLEANUP(mem_free) uint8_t *data = malloc(length);
    chunk_bytes(&(struct chunk){.length = length, .seed = seed}, data);
    snprintf(path, sizeof path, "%s/volumes/%s/data", fx->dir, name);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(length, pwrite(fd, data, length, (off_t)offset));
    close(fd);
}

const char *volume_metadata(struct fixture *fx, const char *name, const char *key, char out[256])
{
    struct nacre_err e = {0};
    struct nacre_volume_info *info = NULL;
    if (fx->driver->lifecycle->get(fx->driver, name, &info, &e) < 0) {
        assert_int_equal(NACRE_ABSENT, e.code);
        return "absent";
    }
    fx->driver->lifecycle->free_info(fx->driver, info);
    if (fx->driver->lifecycle->get_metadata(fx->driver, name, key, out, 256, &e) == 0)
        return out;
    assert_int_equal(NACRE_ABSENT, e.code);
    return "";
}

uint64_t volume_allocated(struct fixture *fx, const char *name)
{
    char path[256];
    struct stat st;
    snprintf(path, sizeof path, "%s/volumes/%s/data", fx->dir, name);
    assert_int_equal(0, stat(path, &st));
    return (uint64_t)st.st_blocks * 512;
}

int restore_to(struct fixture *fx, const struct snapshot *snapshot, const char *volume, bool overwrite,
               struct restore_stats *stats, struct nacre_err *e)
{
    const struct restore_volume_options options = {.overwrite = overwrite};
    const struct volume_ref ref = volume_ref_of(volume);
    struct restore_progress progress = {0};
    struct restore_stats own;
    stats = stats ? stats : &own;
    int result =
        restore_volume(fx->repo, fx->index, snapshot, NULL, fx->driver, &ref, &options, &progress, stats, e);
    if (result == 0) {
        assert_int_equal(progress.bytes_total, progress.bytes_done);
        assert_int_equal(progress.bytes_total, stats->bytes_written + stats->bytes_hole + stats->bytes_same);
    }
    return result;
}

/* ---- comparing ---- */

int shell(const struct fixture *fx, const char *format, ...)
{
    CLEANUP(buf_free) struct buf command = {0};
    const char *restic = getenv("RESTIC");
    buf_printf(&command, "cd '%s' && export RESTIC_PASSWORD=" PASSWORD " && R='%s --no-cache -q' && ",
               fx->dir, restic ? restic : "/usr/bin/restic");
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buf_string(&command, text);
    assert_false(buf_failed(&command));
    int status = system((const char *)command.data);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void expect_equal(struct fixture *fx, const char *volume)
{
    assert_int_equal(0, shell(fx, "cmp expected volumes/%s/data", volume));
}
