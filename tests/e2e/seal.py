#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""seal.py: puts files into a restic repository that no program would write, for the tests of bad input.

    seal.py REPOSITORY PASSWORD_FILE config          < JSON    replaces the config
    seal.py REPOSITORY PASSWORD_FILE locks|snapshots|index < JSON    adds a file; prints its name
    seal.py REPOSITORY PASSWORD_FILE open FILE                 prints what a sealed file says

The repository's sealing written a second time, from the format's description: scrypt from Python's library, AES from
the openssl program, Poly1305 in the four lines that it takes.
"""
import base64
import glob
import hashlib
import json
import os
import subprocess
import sys


def aes(mode, key, data, iv=None):
    command = ["openssl", "enc", "-e", "-aes-" + mode, "-nopad", "-K", key.hex()] + (["-iv", iv.hex()] if iv else [])
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


def poly1305(r, s, message):
    r, total = int.from_bytes(r, "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF, 0
    for at in range(0, len(message), 16):
        total = (total + int.from_bytes(message[at:at + 16] + b"\1", "little")) * r % ((1 << 130) - 5)
    return ((total + int.from_bytes(s, "little")) % (1 << 128)).to_bytes(16, "little")


def tag(key, nonce, ciphertext):
    return poly1305(key[48:64], aes("128-ecb", key[32:48], nonce), ciphertext)


def unseal(key, sealed):
    """None when the key is not the right one."""
    if tag(key, sealed[:16], sealed[16:-16]) != sealed[-16:]:
        return None
    return aes("256-ctr", key[:32], sealed[16:-16], sealed[:16])


def seal(key, plain):
    nonce = os.urandom(16)
    ciphertext = aes("256-ctr", key[:32], plain, nonce)
    return nonce + ciphertext + tag(key, nonce, ciphertext)


def master_key(repository, password):
    for path in glob.glob(repository + "/keys/*"):
        with open(path, encoding="utf-8") as file:
            k = json.load(file)
        user = hashlib.scrypt(password, salt=base64.b64decode(k["salt"]), n=k["N"], r=k["r"], p=k["p"],
                              maxmem=1 << 30, dklen=64)
        opened = unseal(user, base64.b64decode(k["data"]))
        if opened is None:
            continue
        inner = json.loads(opened)
        return b"".join(base64.b64decode(part) for part in (inner["encrypt"], inner["mac"]["k"], inner["mac"]["r"]))
    sys.exit("no key opens with this password")


def main():
    repository, password_file, kind = sys.argv[1:4]
    with open(password_file, "rb") as file:
        key = master_key(repository, file.read().rstrip(b"\n"))
    if kind == "open":
        with open(sys.argv[4], "rb") as file:
            sys.stdout.buffer.write(unseal(key, file.read()) or sys.exit("does not open"))
        return
    sealed = seal(key, sys.stdin.buffer.read())
    name = hashlib.sha256(sealed).hexdigest()
    path = f"{repository}/config" if kind == "config" else f"{repository}/{kind}/{name}"
    if os.path.exists(path):
        os.remove(path)
    with open(path, "wb") as file:
        file.write(sealed)
    print(name)


if __name__ == "__main__":
    main()
