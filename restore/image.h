/* SPDX-License-Identifier: Apache-2.0 */
/* An image as the engine sees it: parts one after another, each a file with its list of blobs. */
#ifndef RESTORE_IMAGE_H
#define RESTORE_IMAGE_H

#include "restore/restore.h"

struct image_part {
    const struct id *ids; /* borrowed until the next load, or image_free */
    size_t count;
    uint64_t offset; /* in the image */
    uint64_t bytes;  /* that the blobs must add up to */
};

size_t image_part_count(const struct image *image);

/* One thread at a time. NACRE_CORRUPT when the part does not fit the image. */
int image_part_load(struct image *image, size_t number, struct image_part *out, struct nacre_err *e);

/* For messages, such as "disk.img". */
const char *image_name(const struct image *image);

#endif
