/* SPDX-License-Identifier: Apache-2.0 */
/* Temporary places and restic, for the tests of the repository. */
#include "support.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "plugins/load.h"
#include "plugins/store.h"

int place_setup(void **state)
{
    struct nacre_err e;
    struct place *place = calloc(1, sizeof *place);
    char url[128];
    snprintf(place->dir, sizeof place->dir, "/tmp/nacre-test-XXXXXX");
    *state = place;
    if (!mkdtemp(place->dir))
        return -1;
    snprintf(place->repo_dir, sizeof place->repo_dir, "%s/repo", place->dir);
    snprintf(url, sizeof url, "file://%s", place->repo_dir);
    if (mkdir(place->repo_dir, 0700) < 0)
        return -1;
    if (plugin_open_store(url, NULL, 0, &place->store, &e) < 0) {
        print_error("%s\n", e.message);
        return -1;
    }
    place->options = (struct repo_options){.path = "", .where = place->repo_dir};
    return 0;
}

int place_teardown(void **state)
{
    struct place *place = *state;
    store_close(place->store);
    int result = shell(NULL, "rm -rf '%s'", place->dir);
    free(place);
    return result;
}

/* Counts the entries; the first one's name goes to `first` when it is not NULL. */
static size_t scan(const struct place *place, const char *directory, char *first, size_t size)
{
    char path[256];
    size_t count = 0;
    snprintf(path, sizeof path, "%s/%s", place->repo_dir, directory);
    DIR *dir = opendir(path);
    if (!dir)
        return 0;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        if (!count++ && first)
            snprintf(first, size, "%s/%s", path, entry->d_name);
    }
    closedir(dir);
    return count;
}

void place_file(const struct place *place, const char *directory, char out[512])
{
    assert_true(scan(place, directory, out, 512) > 0);
}

size_t place_count(const struct place *place, const char *directory)
{
    return scan(place, directory, NULL, 0);
}

void flip_byte(const char *path, long offset)
{
    CLEANUP(buf_free) struct buf data = {0};
    read_whole(path, &data);
    assert_true((size_t)offset < data.size);
    data.data[offset] ^= 1;
    write_whole(path, data.data, data.size);
}

void read_whole(const char *path, struct buf *out)
{
    CLEANUP(file_close) FILE *file = fopen(path, "rb");
    char part[4096];
    size_t size;
    assert_non_null(file);
    while ((size = fread(part, 1, sizeof part, file)))
        buf_append(out, part, size);
}

void write_whole(const char *path, const void *data, size_t size)
{
    unlink(path); /* restic's files are read-only */
    CLEANUP(file_close) FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
}

static int run(struct buf *out, const char *command)
{
    FILE *pipe = popen(command, "r");
    char part[4096];
    size_t size;
    assert_non_null(pipe);
    while ((size = fread(part, 1, sizeof part, pipe))) {
        if (out)
            buf_append(out, part, size);
    }
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int shell(struct buf *out, const char *format, ...)
{
    char command[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    return run(out, command);
}

int restic(const struct place *place, struct buf *out, const char *format, ...)
{
    const char *program = getenv("RESTIC");
    char command[2048];
    int used = snprintf(command, sizeof command, "RESTIC_PASSWORD='" PASSWORD "' %s -r '%s' --no-cache ",
                        program ? program : "restic", place->repo_dir);
    va_list args;
    va_start(args, format);
    used += vsnprintf(command + used, sizeof command - (size_t)used, format, args);
    va_end(args);
    assert_true((size_t)used + 6 < sizeof command);
    strcat(command, " 2>&1");
    return run(out, command);
}
