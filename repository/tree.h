/* SPDX-License-Identifier: Apache-2.0 */
/* Trees: directories as JSON blobs, in the very bytes that restic writes (field order, escapes, mode bits).
 */
#ifndef REPOSITORY_TREE_H
#define REPOSITORY_TREE_H

#include "repository/index.h"

enum node_type {
    NODE_FILE,
    NODE_DIR,
    NODE_SYMLINK,
    NODE_DEV,
    NODE_CHARDEV,
    NODE_FIFO,
    NODE_SOCKET,
    NODE_OTHER
};

/* As in the JSON: "file", "dir", … */
const char *node_type_name(enum node_type type);

/* mode: Go's os.FileMode: permission bits, and these. */
#define NODE_MODE_DIR 0x80000000u
#define NODE_MODE_SYMLINK 0x08000000u
#define NODE_MODE_DEVICE 0x04000000u
#define NODE_MODE_NAMED_PIPE 0x02000000u
#define NODE_MODE_SOCKET 0x01000000u
#define NODE_MODE_SETUID 0x00800000u
#define NODE_MODE_SETGID 0x00400000u
#define NODE_MODE_CHAR_DEVICE 0x00200000u
#define NODE_MODE_STICKY 0x00100000u

/* A time that was never set: Go's zero time, year 1. Times beyond what int64_t nanoseconds hold are read as
 * the nearest that they do. */
#define NODE_TIME_NONE INT64_MIN

struct node_xattr {
    const char *name;
    const uint8_t *value;
    size_t size;
};

struct node {
    const char *name; /* raw bytes, name_size of them, and a NUL */
    size_t name_size;
    enum node_type type;
    uint32_t mode;
    int64_t mtime_ns, atime_ns, ctime_ns;
    uint32_t uid, gid;
    const char *user, *group; /* NULL = "" */
    uint64_t inode, device_id, size, links, device;
    const char *linktarget; /* symlinks: raw bytes; NULL = none */
    const struct node_xattr *xattrs;
    size_t xattr_count;
    const struct id *content; /* files: ids of the data blobs in order */
    size_t content_count;
    bool has_subtree;
    struct id subtree; /* directories */
};

/* Writes a tree: tree_begin, then tree_node in strictly ascending byte order of the names (the caller's duty:
 * tree_parse refuses anything else), tree_end. out is then the blob's bytes; look at buf_failed. */
void tree_begin(struct buf *out);
void tree_node(struct buf *out, const struct node *node);
void tree_end(struct buf *out);

/* Reads a tree as a stream: `entry` for every node, which is borrowed during the callback; -1 with *e set
 * stops. NACRE_CORRUPT for what is no tree, for names that are empty, ".", "..", hold '/' or NUL, or are out
 * of order. */
typedef int tree_entry(void *ctx, const struct node *node, struct nacre_err *e);
int tree_parse(const void *json, size_t size, tree_entry *entry, void *ctx, struct nacre_err *e);

/* Loads the tree blob and parses it. The document is in memory while entry is called. */
int tree_load(struct repo *repo, struct index *index, const struct id *id, tree_entry *entry, void *ctx,
              struct nacre_err *e);

#endif
