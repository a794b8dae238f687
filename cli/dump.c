/* SPDX-License-Identifier: Apache-2.0 */
/* nacre dump: one volume of a backup into a file, a device or a stream. A file is written under another name
 * and takes its own when it is whole, so that an interrupted dump is never mistaken for a finished one. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/commands.h"
#include "cli/mapping.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/secrets.h"
#include "cli/sources.h"
#include "common/err.h"
#include "common/log.h"
#include "restore/restore.h"

static const struct option option_out = {
    .name = "out",
    .letter = 'O',
    .argument = "FILE",
    .help = "write to this file or device; - = standard output (the default)",
    .flags = OPTION_FILE};
static const struct option option_overwrite = {.name = "overwrite",
                                               .help = "replace a file that exists, or what is on a device"};

enum target_kind { TARGET_STREAM, TARGET_FILE, TARGET_DEVICE };

struct target {
    enum target_kind kind;
    const char *path;
    char *partial; /* TARGET_FILE: where it is written first */
    int fd;
};

static int open_stream(const struct cli *cli, struct target *target, struct nacre_err *e)
{
    if (isatty(STDOUT_FILENO))
        return err_set(e, NACRE_INVALID,
                       "standard output is a terminal, and this is a disk image: pass -O FILE, or "
                       "pipe it somewhere");
    if (cli->format != CLI_TABLE)
        return err_set(e, NACRE_INVALID,
                       "-o json and -o yaml need -O FILE: standard output carries the image");
    target->fd = STDOUT_FILENO;
    target->kind = TARGET_STREAM;
    return 0;
}

static int open_partial(struct target *target, struct nacre_err *e)
{
    if (asprintf(&target->partial, "%s.partial", target->path) < 0) {
        target->partial = NULL;
        return err_no_memory(e, "a file's name");
    }
    target->kind = TARGET_FILE;
    target->fd = open(target->partial, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    return target->fd < 0 ? err_errno(e, errno, "%s", target->partial) : 0;
}

static int open_target(const struct cli *cli, struct target *target, struct nacre_err *e)
{
    const char *path = cli_value(cli, &option_out);
    struct stat st;
    target->fd = -1;
    if (!path || !strcmp(path, "-"))
        return open_stream(cli, target, e);
    target->path = path;
    target->kind = TARGET_STREAM;
    target->fd = secrets_own_fd(path);
    if (target->fd >= 0)
        return 0;
    if (stat(path, &st) < 0)
        return errno == ENOENT ? open_partial(target, e) : err_errno(e, errno, "%s", path);
    if (S_ISDIR(st.st_mode))
        return err_set(e, NACRE_INVALID, "%s is a directory; name a file in it", path);
    if (S_ISREG(st.st_mode)) {
        if (!cli_flag(cli, &option_overwrite))
            return err_set(e, NACRE_EXISTS, "%s exists; pass --overwrite to replace it", path);
        return open_partial(target, e);
    }
    bool device = S_ISBLK(st.st_mode);
    if (device && !cli_flag(cli, &option_overwrite))
        return err_set(e, NACRE_EXISTS, "%s is a device; pass --overwrite to replace what is on it", path);
    target->kind = device ? TARGET_DEVICE : TARGET_STREAM;
    /* O_EXCL on a device: not while it is mounted or otherwise in use. */
    target->fd = open(path, (device ? O_RDWR | O_EXCL : O_WRONLY) | O_CLOEXEC);
    return target->fd < 0 ? err_errno(e, errno, "%s", path) : 0;
}

static int sync_directory(const char *path, struct nacre_err *e)
{
    char directory[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    if (slash) /* the root keeps its slash */
        snprintf(directory, sizeof directory, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    CLEANUP(fd_close) int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return err_errno(e, errno, "%s: making its name durable", path);
    return 0;
}

static int finish_target(struct target *target, struct nacre_err *e)
{
    if (target->kind == TARGET_STREAM)
        return 0;
    if (fsync(target->fd) < 0)
        return err_errno(e, errno, "writing %s", target->path);
    if (target->kind == TARGET_DEVICE)
        return 0;
    if (rename(target->partial, target->path) < 0)
        return err_errno(e, errno, "renaming %s to %s", target->partial, target->path);
    free(MOVE(target->partial));
    return sync_directory(target->path, e);
}

static void target_free(struct target *target)
{
    if (target->fd > STDOUT_FILENO)
        close(target->fd);
    if (target->partial)
        unlink(target->partial);
    free(target->partial);
}
static inline void target_free_at(struct target *target)
{
    target_free(target);
}

static int choose(struct cli *cli, struct sources *sources, struct nacre_err *e)
{
    const char *name = cli_argument(cli, 1);
    if (name)
        return sources_select(sources, &name, 1, e);
    if (sources->count == 1)
        return 0;
    CLEANUP(buf_free) struct buf list = {0};
    for (size_t i = 0; i < sources->count && i < 8; i++)
        buf_printf(&list, "%s%.200s", i ? ", " : "", sources->items[i].volume);
    return err_set(e, NACRE_INVALID, "it holds %zu volumes; say which: %s", sources->count,
                   list.data ? (const char *)list.data : "");
}

static int write_image(struct cli *cli, const struct location *location, struct repo *repo,
                       struct index *index, struct image *image, const struct target *target,
                       struct restore_stats *stats, struct nacre_err *e)
{
    struct restore_progress progress = {0};
    const struct restore_options options = {.connections = location->connections,
                                            .target_is_zero = target->kind == TARGET_FILE};
    progress_start(cli, &(struct progress_source){&progress.bytes_done, &progress.bytes_total, "dump"});
    int result = target->kind == TARGET_STREAM
                     ? restore_to_stream(repo, index, image, target->fd, &options, &progress, stats, e)
                     : restore_to_fd(repo, index, image, target->fd, &options, &progress, stats, e);
    progress_stop();
    return result;
}

static int report(struct cli *cli, const struct source *source, const struct target *target, uint64_t bytes,
                  const struct restore_stats *stats, struct nacre_err *e)
{
    if (cli->format == CLI_TABLE) {
        if (target->fd != STDOUT_FILENO)
            log_info("%s: %llu bytes to %s", source->volume, (unsigned long long)bytes, target->path);
        return 0;
    }
    char id[ID_HEX_SIZE];
    id_format(&source->snapshot->id, id);
    json_t *document =
        json_pack("{s:o,s:o,s:s,s:o,s:o,s:o,s:o}", "volume", output_text(source->volume), "target",
                  output_text(target->path), "snapshot", id, "bytes", output_number(bytes), "bytesWritten",
                  output_number(stats->bytes_written), "bytesHole", output_number(stats->bytes_hole),
                  "bytesFetched", output_number(stats->bytes_fetched));
    int result = output_document(cli, document, e);
    json_decref(document);
    return result;
}

static int run_with(struct cli *cli, struct location *location, struct repo *repo, struct nacre_err *e)
{
    CLEANUP(sources_free) struct sources sources = {0};
    CLEANUP(lock_release) struct lock *lock = NULL;
    CLEANUP(index_free) struct index *index = NULL;
    CLEANUP(image_free) struct image *image = NULL;
    CLEANUP(target_free) struct target target = {.fd = -1};
    struct restore_stats stats = {0};
    if (location_lock(cli, location, repo, false, &lock, e) < 0 ||
        sources_find(location, repo, cli_argument(cli, 0), &sources, e) < 0 || choose(cli, &sources, e) < 0 ||
        index_load(repo, &index, e) < 0)
        return -1;
    const struct source *source = &sources.items[0];
    if (image_open(repo, index, source->snapshot, source->image_path, &image, e) < 0 ||
        open_target(cli, &target, e) < 0 ||
        write_image(cli, location, repo, index, image, &target, &stats, e) < 0 ||
        finish_target(&target, e) < 0)
        return -1;
    return report(cli, source, &target, image_bytes(image), &stats, e);
}

static int run(struct cli *cli, struct nacre_err *e)
{
    CLEANUP(location_free) struct location *location = NULL;
    CLEANUP(repo_free) struct repo *repo = NULL;
    const char *out = cli_value(cli, &option_out);
    struct target early = {.fd = -1};
    /* What can be said before a password is asked for. */
    if ((!out || !strcmp(out, "-")) && open_stream(cli, &early, e) < 0)
        return -1;
    if (location_open(cli, LOCATION_READ, &location, e) < 0 ||
        location_open_repository(cli, location, &repo, e) < 0 || run_with(cli, location, repo, e) < 0)
        return err_wrap(e, "dump of \"%.200s\"", cli_argument(cli, 0));
    return 0;
}

const struct command command_dump = {
    .name = "dump",
    .arguments = "BACKUP [VOLUME]",
    .least = 1,
    .most = 2,
    .summary = "Write a volume of a backup to a file, a device or standard output",
    .details = "BACKUP is the name of a backup, or latest, or the id of a repository snapshot. VOLUME, or "
               "the end of its "
               "path, is needed when there are several; for a snapshot that restic made it is the path of a "
               "file in it. A "
               "file is written as FILE.partial, sparse, and renamed when it is whole; a device is written "
               "as it is.",
    .options = (const struct option *const[]){&option_out, &option_overwrite, LOCATION_OPTIONS,
                                              REPOSITORY_OPTIONS, NULL},
    .run = run,
};
