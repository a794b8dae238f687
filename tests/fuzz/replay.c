/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target on every file of the directories given: its corpus as an ordinary test, in every build
 * and without libFuzzer. To get more out of each file, it also runs on its beginnings and on copies with one
 * byte changed, so that a target whose corpus is small still sees what is nearly right. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_MAX (1 << 20)
#define VARIANTS_MAX 400

/* In memory of exactly that size, so that a sanitizer sees a read beyond it. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy) {
        fprintf(stderr, "replay: out of memory\n");
        exit(1);
    }
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void run_variants(uint8_t *data, size_t size)
{
    size_t step = size / VARIANTS_MAX + 1;
    run(data, size);
    for (size_t at = 0; at < size; at += step) {
        uint8_t original = data[at];
        run(data, at);
        data[at] ^= (uint8_t)(1 << at % 8);
        run(data, size);
        data[at] = original == '"' ? 0 : 0xff;
        run(data, size);
        data[at] = original;
    }
}

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(FILE_MAX);
    if (!file || !data) {
        perror(path);
        exit(1);
    }
    size_t size = fread(data, 1, FILE_MAX, file);
    fclose(file);
    run_variants(data, size);
    free(data);
    return 1;
}

static int replay_directory(const char *path)
{
    DIR *dir = opendir(path);
    int count = 0;
    if (!dir) {
        perror(path);
        exit(1);
    }
    for (const struct dirent *entry; (entry = readdir(dir));) {
        char file[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        count += replay_file(file);
    }
    closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;
    run((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++)
        count += replay_directory(argv[i]);
    printf("%d files\n", count);
    return count ? 0 : 1; /* a corpus that went astray is a failure */
}
