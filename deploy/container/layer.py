#!/usr/bin/env python3
"""Writes root.tar, all the files of the image: layer.py PROGRAM SECONDS > root.tar

The same input gives the same bytes: times are SECONDS since 1970, owners are numbers. And the program gets its file
capability here, in the archive, which needs no root; `setcap` on a file of this host would.
"""

import io
import struct
import sys
import tarfile

# Of nobody on any host, as in other images that are not root's.
FTPLB = 65532

# VFS_CAP_REVISION_2, permitted and inheritable, each as two words (linux/capability.h). It is permitted and not
# effective: ftplb makes it effective by itself, and a container without the right can start it all the same.
CAP_NET_BIND_SERVICE = 10
CAPABILITY = struct.pack("<5I", 0x02000000, 1 << CAP_NET_BIND_SERVICE, 0, 0, 0)


def main():
    program, seconds = sys.argv[1], int(sys.argv[2])
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT) as archive:

        def add(name, mode, kind=tarfile.REGTYPE, content=b"", owner=0, pax=None):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.size = kind, mode, len(content)
            entry.uid = entry.gid = owner
            entry.mtime = seconds
            entry.pax_headers = pax or {}
            archive.addfile(entry, io.BytesIO(content))

        def directory(name, owner=0):
            add(name, 0o755, tarfile.DIRTYPE, owner=owner)

        for name in ["etc", "etc/ftplb", "run", "usr", "usr/bin"]:
            directory(name)
        # For the socket of the API.
        directory("run/ftplb", FTPLB)
        # For `process.user`, where the container is started as root.
        add("etc/passwd", 0o644, content=f"root:x:0:0::/:\nftplb:x:{FTPLB}:{FTPLB}::/:\n".encode())
        add("etc/group", 0o644, content=f"root:x:0:\nftplb:x:{FTPLB}:\n".encode())
        with open(program, "rb") as file:
            pax = {"SCHILY.xattr.security.capability": CAPABILITY.decode("ascii")}
            add("usr/bin/ftplb", 0o755, content=file.read(), pax=pax)


main()
