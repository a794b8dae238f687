/* SPDX-License-Identifier: Apache-2.0 */
/* volume.json of the hostpath driver: whatever lies there is refused or is a volume whose metadata can be
 * read, changed, stored and read again the same. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostpath.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int directory = -1;
static char directory_path[] = "/tmp/nacre-fuzz-XXXXXX";

static void remove_directory(void)
{
    unlinkat(directory, "volume.json", 0);
    rmdir(directory_path);
}

static void write_file(const uint8_t *data, size_t size)
{
    int fd = openat(directory, "volume.json", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (directory < 0) {
        if (!mkdtemp(directory_path) || (directory = open(directory_path, O_RDONLY | O_DIRECTORY)) < 0)
            abort();
        atexit(remove_directory);
    }
    write_file(data, size);
    char cluster[] = "c";
    struct hostpath host = {.root = -1, .cluster = cluster};
    struct volume v = {.host = &host, .name = "v", .dir = directory, .lock = -1};
    struct nacre_err e = {0};
    json_t *first = NULL, *second = NULL;
    if (volume_sidecar_load(&v, &first, &e) < 0) {
        if (!e.code || !e.message[0])
            abort();
        return 0;
    }
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(first, "metadata"), key, value)
    {
        if (!json_string_value(value))
            abort();
    }
    if (volume_sidecar_set(first, "k", "v", &e) < 0 || volume_sidecar_set(first, "k", NULL, &e) < 0)
        abort();
    if (volume_sidecar_store(&v, first, &e) == 0 &&
        (volume_sidecar_load(&v, &second, &e) < 0 || !json_equal(first, second)))
        abort();
    json_decref(first);
    json_decref(second);
    return 0;
}
