#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""image.py: looks at and writes to disk images without nacre, for the tests.

    image.py fill    IMAGE SEED OFFSET:LENGTH...   writes bytes that do not compress
    image.py scatter IMAGE SEED COUNT SIZE         COUNT random writes of SIZE bytes, aligned to SIZE
    image.py copy    FILE IMAGE                    writes what is allocated in FILE into IMAGE
    image.py touched IMAGE SNAP CHUNK              prints how many aligned chunks of CHUNK bytes differ, in
                                                   allocation, between SNAP and now (rbd only)
    image.py same    IMAGE IMAGE                   compares every byte; exit 1 names the first difference
    image.py sum     IMAGE                         SHA-256 of all of it

IMAGE is a file, or rbd:CONF:POOL/NAME[@SNAP]. The Ceph side is librbd through Ceph's own Python binding, that is
a second client with no code of nacre's in between. What is allocated nowhere is not read: thin images of a
terabyte compare in seconds. /usr/bin/python3, because that is the one which Debian's binding belongs to.
"""
import hashlib
import os
import random
import sys

STEP = 4 << 20


class File:
    def __init__(self, path, write):
        self.fd = os.open(path, os.O_RDWR if write else os.O_RDONLY)
        self.size = os.lseek(self.fd, 0, os.SEEK_END)

    def read(self, offset, length):
        return os.pread(self.fd, length, offset)

    def write(self, offset, data):
        os.pwrite(self.fd, data, offset)

    def extents(self):
        at = 0
        while at < self.size:
            try:
                start = os.lseek(self.fd, at, os.SEEK_DATA)
            except OSError:
                return
            at = os.lseek(self.fd, start, os.SEEK_HOLE)
            yield start, at - start

    def close(self):
        os.fsync(self.fd)
        os.close(self.fd)


class Rbd:
    def __init__(self, spec, write):
        import rados
        import rbd
        _, conf, path = spec.split(":", 2)
        path, _, snap = path.partition("@")
        parts = path.split("/")
        # Every client gets its section's name from the configuration; admin's key lies in the same keyring.
        self.cluster = rados.Rados(conffile=conf)
        self.cluster.connect(timeout=30)
        self.ioctx = self.cluster.open_ioctx(parts[0])
        if len(parts) == 3:
            self.ioctx.set_namespace(parts[1])
        self.image = rbd.Image(self.ioctx, parts[-1], snapshot=snap or None, read_only=not write)
        self.size = self.image.size()

    def read(self, offset, length):
        return self.image.read(offset, length)

    def write(self, offset, data):
        self.image.write(data, offset)

    def extents(self, since=None):
        found = []
        self.image.diff_iterate(0, self.size, since, lambda o, n, there: found.append((o, n)) if there or since else None)
        return found

    def close(self):
        self.image.close()
        self.ioctx.close()
        self.cluster.shutdown()


def image_open(spec, write=False):
    return Rbd(spec, write) if spec.startswith("rbd:") else File(spec, write)


def merged(extents, size):
    """Extents of both images as ascending, disjoint ranges, aligned outward to 64 KiB."""
    out = []
    for start, length in sorted(extents):
        start, end = start & ~0xFFFF, min(size, (start + length + 0xFFFF) & ~0xFFFF)
        if out and start <= out[-1][1]:
            out[-1][1] = max(out[-1][1], end)
        else:
            out.append([start, end])
    return out


def fill(spec, seed, *ranges):
    image, rng = image_open(spec, True), random.Random(seed)
    for text in ranges:
        offset, length = (int(n) for n in text.split(":"))
        for at in range(offset, offset + length, STEP):
            image.write(at, rng.randbytes(min(STEP, offset + length - at)))
    image.close()


def scatter(spec, seed, count, size):
    image, rng, size = image_open(spec, True), random.Random(seed), int(size)
    for _ in range(int(count)):
        image.write(rng.randrange(image.size // size) * size, rng.randbytes(size))
    image.close()


def copy(source, spec):
    source, image = image_open(source), image_open(spec, True)
    for start, length in source.extents():
        for at in range(start, start + length, STEP):
            image.write(at, source.read(at, min(STEP, start + length - at)))
    image.close()


def touched(spec, snap, chunk):
    image, chunk, chunks = image_open(spec), int(chunk), set()
    for start, length in image.extents(snap):
        chunks.update(range(start // chunk, (start + length - 1) // chunk + 1))
    image.close()
    print(len(chunks))


def same(left, right):
    a, b = image_open(left), image_open(right)
    if a.size != b.size:
        sys.exit(f"{left} has {a.size} bytes, {right} {b.size}")
    looked = 0
    for start, end in merged([*a.extents(), *b.extents()], a.size):
        for at in range(start, end, STEP):
            n = min(STEP, end - at)
            x, y = a.read(at, n), b.read(at, n)
            looked += n
            if len(x) != n or len(y) != n:
                sys.exit(f"short read at {at}")
            if x != y:
                first = next(i for i in range(n) if x[i] != y[i])
                sys.exit(f"{left} and {right} differ at byte {at + first}")
    print(f"{left} = {right}: {a.size} bytes, {looked} of them allocated")


def sha256(spec):
    image, total = image_open(spec), hashlib.sha256()
    for at in range(0, image.size, STEP):
        total.update(image.read(at, min(STEP, image.size - at)))
    print(total.hexdigest())


if __name__ == "__main__":
    verbs = {"fill": fill, "scatter": scatter, "copy": copy, "touched": touched, "same": same, "sum": sha256}
    if len(sys.argv) < 3 or sys.argv[1] not in verbs:
        sys.exit(__doc__)
    verbs[sys.argv[1]](*sys.argv[2:])
