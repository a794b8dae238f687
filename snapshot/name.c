/* SPDX-License-Identifier: Apache-2.0 */
/* The names of the snapshots that backups leave on a source: who made it, for which repository, when.
 *
 * The name is all the state there is, so it must tell apart two runs of one process, two processes of one
 * host, two hosts, and two repositories that hold backups of one volume. */
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/timestamp.h"
#include "snapshot/take.h"

#define PREFIX "nacre-"

void snapshot_host_hash(const char *hostname, char out[SNAPSHOT_HOST_DIGITS + 1])
{
    uint8_t digest[EVP_MAX_MD_SIZE] = {0};
    /* Without SHA-256 all hosts look alike: leftovers are then kept longer, never removed too early, since a
     * process that is alive with the same number is what protects them. */
    EVP_Digest(hostname, strlen(hostname), digest, NULL, EVP_sha256(), NULL);
    hex_encode(digest, SNAPSHOT_HOST_DIGITS / 2, out);
}

void snapshot_host_hash_own(char out[SNAPSHOT_HOST_DIGITS + 1])
{
    char hostname[256] = "";
    gethostname(hostname, sizeof hostname - 1);
    snapshot_host_hash(hostname, out);
}

/* The wall clock, made to advance with every call. */
static int64_t unique_time(void)
{
    static _Atomic int64_t last;
    int64_t before = atomic_load(&last), now;
    do {
        now = timestamp_now();
        if (now <= before)
            now = before + 1;
    } while (!atomic_compare_exchange_weak(&last, &before, now));
    return now;
}

void snapshot_name_make(const char *repository_id, char out[NACRE_SNAPSHOT_NAME_MAX + 1])
{
    char rfc3339[TIMESTAMP_SIZE], host[SNAPSHOT_HOST_DIGITS + 1];
    timestamp_format(unique_time(), rfc3339);
    char *to = rfc3339; /* '-' parts the fields of the name, and ':' is not allowed in it */
    for (const char *from = rfc3339; *from; from++)
        if (*from != '-' && *from != ':')
            *to++ = *from;
    *to = 0;
    snapshot_host_hash_own(host);
    snprintf(out, NACRE_SNAPSHOT_NAME_MAX + 1, PREFIX "%.*s-%s-%s.%d", SNAPSHOT_REPO_DIGITS, repository_id,
             rfc3339, host, (int)getpid());
}

bool snapshot_name_parse(const char *name, const char *repository_id, struct snapshot_owner *owner)
{
    const size_t prefix = sizeof PREFIX - 1;
    if (strncmp(name, PREFIX, prefix) != 0 ||
        strnlen(repository_id, SNAPSHOT_REPO_DIGITS) < SNAPSHOT_REPO_DIGITS ||
        strncmp(name + prefix, repository_id, SNAPSHOT_REPO_DIGITS) != 0)
        return false;
    const char *time = name + prefix + SNAPSHOT_REPO_DIGITS;
    if (*time++ != '-')
        return false;
    const char *host = strchr(time, '-');
    if (!host || host == time)
        return false;
    host++;
    uint8_t hash[SNAPSHOT_HOST_DIGITS / 2];
    if (strnlen(host, SNAPSHOT_HOST_DIGITS) < SNAPSHOT_HOST_DIGITS || !hex_decode(host, hash, sizeof hash) ||
        host[SNAPSHOT_HOST_DIGITS] != '.')
        return false;
    const char *digits = host + SNAPSHOT_HOST_DIGITS + 1;
    size_t length = strspn(digits, "0123456789");
    if (length < 1 || length > 9 || digits[length])
        return false;
    if (owner) {
        *owner = (struct snapshot_owner){.name = name, .pid = (int)strtol(digits, NULL, 10)};
        memcpy(owner->host_hash, host, SNAPSHOT_HOST_DIGITS);
    }
    return true;
}
