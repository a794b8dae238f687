/* SPDX-License-Identifier: Apache-2.0 */
/* Writes n to one image, then n to another, for ever, as any user of librbd would: the exclusive locks come
 * and go by themselves. Usage: rbd_writer POOL[/NAMESPACE]/IMAGE POOL[/NAMESPACE]/IMAGE, with the cluster's
 * configuration in $CEPH_CONF. */
#include <rbd/librbd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int open_one(rados_t cluster, char *path, rbd_image_t *image)
{
    rados_ioctx_t io;
    char *first = strchr(path, '/'), *last = strrchr(path, '/');
    if (!first)
        return -1;
    *first = *last = '\0';
    if (rados_ioctx_create(cluster, path, &io) < 0)
        return -1;
    if (last != first)
        rados_ioctx_set_namespace(io, first + 1);
    return rbd_open(io, last + 1, image, NULL);
}

int main(int argc, char **argv)
{
    rados_t cluster;
    rbd_image_t images[2];
    if (argc != 3 || rados_create(&cluster, "admin") < 0 || rados_conf_read_file(cluster, NULL) < 0 ||
        rados_conf_set(cluster, "rbd_cache", "false") < 0 || rados_connect(cluster) < 0)
        return 2;
    for (int i = 0; i < 2; i++)
        if (open_one(cluster, argv[i + 1], &images[i]) < 0)
            return 2;
    printf("begin\n");
    fflush(stdout);
    for (unsigned long long n = 1;; n++)
        for (int i = 0; i < 2; i++) {
            ssize_t wrote = rbd_write(images[i], 0, sizeof n, (const char *)&n);
            if (wrote == (ssize_t)sizeof n)
                continue;
            fprintf(stderr, "rbd_writer: write %llu to %s: %s\n", n, argv[i + 1], strerror((int)-wrote));
            return 1;
        }
}
