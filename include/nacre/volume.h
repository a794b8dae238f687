/* SPDX-License-Identifier: Apache-2.0 */
/* The volume ABI: what a driver offers so that nacre can provision, snapshot, read and write volumes.
 *
 * A plugin is a shared module NAME.so in libexec/nacre/plugins/volume/ that exports one symbol,
 * `nacre_volume_plugin`, of type struct nacre_volume_plugin. A driver offers some of four facets, each a
 * table of its own: lifecycle, block, tree, node. Tree and node are not yet defined by this version of
 * the header; their pointers are NULL, and their tables will be appended to it.
 *
 * Paths name a volume within a cluster, in the driver's own terms: `pool[/namespace]/image` for rbd,
 * `name` for hostpath. Snapshot names are [A-Za-z0-9._-], at most 128 bytes.
 *
 * Threads. Every function of a driver may be called from many threads at once, except close. A block
 * handle's functions too, except its close, which waits for the operations in flight.
 *
 * State. A driver keeps all it must remember on the volume itself (image metadata, a sidecar file);
 * nothing of it lies elsewhere. A call that was killed half way leaves what a repeat of it mends.
 */
#ifndef NACRE_VOLUME_H
#define NACRE_VOLUME_H

#include <nacre/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NACRE_UNKNOWN UINT64_MAX
#define NACRE_SNAPSHOT_NAME_MAX 128

struct nacre_driver;

/* What a volume is made with, besides its path. */
struct nacre_volume_spec {
    uint64_t bytes; /* size; for a clone 0 = that of its source */
    /* Driver-specific properties, as `properties` of nacre_volume_info gives them; unknown keys are
     * NACRE_INVALID, naming the key, except where the driver says that a key is only informative.
     * rbd: features (comma-separated names), object-size (bytes), stripe-unit (bytes), stripe-count,
     * data-pool. */
    const struct nacre_option *properties;
    size_t property_count;
    /* User metadata, set before the volume can be seen by get. */
    const struct nacre_option *metadata;
    size_t metadata_count;
};

/* A volume. All of it is borrowed from the driver until free_info, or during the callback of list. */
struct nacre_volume_info {
    const char *path;
    const char *id; /* differs when the volume is deleted and made again under the same path, and between
                       clusters; stable otherwise. Printable, without spaces. */
    uint64_t bytes;
    uint64_t used_bytes;   /* allocated in the cluster, NACRE_UNKNOWN when that is not cheap to tell */
    int64_t created_ns;    /* Unix time, 0 = unknown */
    const char *in_use_by; /* who has it open for writing or mapped, for people; NULL = nobody known */
    const struct nacre_option *properties;
    size_t property_count;
    const struct nacre_option *metadata; /* user metadata; the driver's own keys (nacre.*) are not in it */
    size_t metadata_count;
};

struct nacre_snapshot_info {
    const char *name; /* borrowed during the callback */
    uint64_t id;      /* unique within the volume, never used again */
    uint64_t bytes;   /* the volume's size when it was taken */
    int64_t created_ns;
};

struct nacre_capacity {
    uint64_t total_bytes;
    uint64_t used_bytes;
    uint64_t available_bytes;
};

typedef int nacre_volume_entry(void *ctx, const struct nacre_volume_info *info);
typedef int nacre_snapshot_entry(void *ctx, const struct nacre_snapshot_info *info);

/* The lifecycle facet. Errors common to all: NACRE_ABSENT (no such volume, snapshot or pool),
 * NACRE_DENIED, NACRE_TRANSIENT (the cluster does not answer), NACRE_NO_SPACE, NACRE_INVALID (a path,
 * name or property that cannot be). Callbacks: 0 to go on, anything else stops, and 0 is returned. */
struct nacre_lifecycle_ops {
    uint32_t size;

    /* Makes a thin volume that reads as zeros. NACRE_EXISTS when the path is taken. */
    int (*create)(struct nacre_driver *driver, const char *path, const struct nacre_volume_spec *spec,
                  struct nacre_err *e);

    /* Makes `path` a copy of source, as of its snapshot `snap` (NULL = as it is now), copy-on-write
     * where the backend can. The source may be deleted afterwards. NACRE_EXISTS as create. */
    int (*clone)(struct nacre_driver *driver, const char *source, const char *snap, const char *path,
                 const struct nacre_volume_spec *spec, struct nacre_err *e);

    /* Grows to `bytes`, which may be the present size; NACRE_INVALID when smaller. */
    int (*expand)(struct nacre_driver *driver, const char *path, uint64_t bytes, struct nacre_err *e);

    /* Deletes at once, whatever its size and whether or not snapshots and clones of it exist; what they
     * need is kept aside, unseen, until the last of them goes. NACRE_BUSY when it is in use. */
    int (*remove)(struct nacre_driver *driver, const char *path, struct nacre_err *e);

    /* *out is freed by free_info. */
    int (*get)(struct nacre_driver *driver, const char *path, struct nacre_volume_info **out,
               struct nacre_err *e);
    void (*free_info)(struct nacre_driver *driver, struct nacre_volume_info *info);

    /* The volumes below `prefix` (rbd: pool[/namespace]; hostpath: "" = all), by name. used_bytes,
     * in_use_by, properties and metadata may be left out of a listing. */
    int (*list)(struct nacre_driver *driver, const char *prefix, nacre_volume_entry *entry, void *ctx,
                struct nacre_err *e);

    /* Space in the pool or file system that holds `prefix`. */
    int (*capacity)(struct nacre_driver *driver, const char *prefix, struct nacre_capacity *out,
                    struct nacre_err *e);

    /* Sets one key of the metadata; value NULL removes it (no error when it is not there). Keys that begin
     * with "nacre." are nacre's own: settable and readable with get_metadata, not in nacre_volume_info. */
    int (*set_metadata)(struct nacre_driver *driver, const char *path, const char *key, const char *value,
                        struct nacre_err *e);

    /* Copies the value, with its NUL, into buf; NACRE_ABSENT when the key is not set; NACRE_INVALID when it
     * does not fit. */
    int (*get_metadata)(struct nacre_driver *driver, const char *path, const char *key, char *buf,
                        size_t buf_size, struct nacre_err *e);

    /* A snapshot of the volume as it is now, crash-consistent. NACRE_EXISTS. */
    int (*snapshot_create)(struct nacre_driver *driver, const char *path, const char *snap,
                           struct nacre_err *e);

    /* Oldest first; the driver's own snapshots are not in it. */
    int (*snapshot_list)(struct nacre_driver *driver, const char *path, nacre_snapshot_entry *entry,
                         void *ctx, struct nacre_err *e);

    /* Removes a snapshot, also one that clones were made from. */
    int (*snapshot_remove)(struct nacre_driver *driver, const char *path, const char *snap,
                           struct nacre_err *e);

    /* A snapshot `snap` of each of the volumes, all of one moment: no write to any of them is in one
     * snapshot while an earlier write to another is missing from that one's. All or none. NACRE_EXISTS;
     * NACRE_UNSUPPORTED when these volumes cannot be taken together; NULL when the driver never can. */
    int (*group_snapshot_create)(struct nacre_driver *driver, const char *const *paths, size_t count,
                                 const char *snap, struct nacre_err *e);
};

struct nacre_block;

enum nacre_block_mode {
    NACRE_BLOCK_READ,  /* of a snapshot, or of the volume as it is; takes no lock */
    NACRE_BLOCK_WRITE, /* of the volume: NACRE_BUSY while another has it open for writing */
};

/* A range of a volume, and whether it holds data or reads as zeros. */
struct nacre_extent {
    uint64_t offset;
    uint64_t length;
    bool data;
};

typedef int nacre_extent_entry(void *ctx, const struct nacre_extent *extent);

enum nacre_block_op_kind {
    NACRE_BLOCK_OP_READ,
    NACRE_BLOCK_OP_WRITE,
    NACRE_BLOCK_OP_ZERO, /* the range reads as zeros afterwards; space is given back where that is possible */
};

/* One operation in flight. Owned by the caller, who keeps it and its buffer in place until done() has been
 * called; done() may be called from any thread, also before submit returns, and may free it. */
struct nacre_block_op {
    enum nacre_block_op_kind kind;
    uint64_t offset;
    uint64_t length;
    void *buffer; /* length bytes; unused for ZERO; never changed by WRITE */
    /* result: NACRE_OK, or a code with a message that is valid during the call only. */
    void (*done)(struct nacre_block_op *op, enum nacre_code result, const char *message);
    void *ctx;
};

/* The block facet. */
struct nacre_block_ops {
    uint32_t size;

    /* Opens a volume; snap NULL = the volume itself. A snapshot can only be read. *out belongs to the
     * caller. NACRE_ABSENT, NACRE_BUSY. */
    int (*open)(struct nacre_driver *driver, const char *path, const char *snap, enum nacre_block_mode mode,
                struct nacre_block **out, struct nacre_err *e);

    /* Waits for operations in flight; flushes nothing that flush did not. */
    void (*close)(struct nacre_block *block);

    uint64_t (*bytes)(struct nacre_block *block);

    /* The extents within [offset, offset + length), ascending, not overlapping, clipped to the range.
     * base NULL: everything that is not in an extent with data reads as zeros.
     * base a snapshot of the same volume, older than what is open: everything that is not in an extent is as
     * it was in base; an extent without data has been discarded since. Exact to the backend's allocation
     * unit. NACRE_ABSENT when base is not there; NACRE_UNSUPPORTED when the change cannot be told (such as
     * an invalid object map): the caller then reads all. */
    int (*extents)(struct nacre_block *block, const char *base, uint64_t offset, uint64_t length,
                   nacre_extent_entry *entry, void *ctx, struct nacre_err *e);

    /* Starts an operation; many may be in flight. The range lies within the volume, or it is NACRE_INVALID.
     * On -1 done() is not and will not be called. A read is never short: beyond what was written are
     * zeros. */
    int (*submit)(struct nacre_block *block, struct nacre_block_op *op, struct nacre_err *e);

    /* Everything that was done before is durable when it returns 0. */
    int (*flush)(struct nacre_block *block, struct nacre_err *e);
};

struct nacre_tree_ops; /* not yet defined: NULL */
struct nacre_node_ops; /* not yet defined: NULL */

/* A plugin's own handle begins with this. */
struct nacre_driver {
    const struct nacre_lifecycle_ops *lifecycle; /* NULL when not offered, as the following */
    const struct nacre_block_ops *block;
    const struct nacre_tree_ops *tree;
    const struct nacre_node_ops *node;
};

struct nacre_volume_plugin {
    uint32_t abi;  /* NACRE_PLUGIN_ABI */
    uint32_t size; /* sizeof(struct nacre_volume_plugin) as the plugin was built */
    const char *name;
    const char *version;
    const char *description;    /* one line */
    const char *const *options; /* keys of nacre_config that it knows, NULL-terminated; may be NULL */

    /* Connects to a cluster. config holds the cluster's entry of the configuration file, and always
     * `cluster`, its name. *out belongs to the caller. */
    int (*open)(const struct nacre_config *config, struct nacre_driver **out, struct nacre_err *e);
    void (*close)(struct nacre_driver *driver);
};

#define NACRE_VOLUME_SYMBOL "nacre_volume_plugin"

#ifdef __cplusplus
}
#endif
#endif
