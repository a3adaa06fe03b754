"""Fetches every file of a directory, each in a session of its own and by one try.

fetch_each.py HOST PORT USER PASSWORD ORIGINALS ENOUGH PACE

Begins again at the first file until the file ENOUGH exists and each was fetched once. PACE is the time in
seconds that it takes for each 64 KiB. Fails if a session fails, or a copy is not what ORIGINALS has.
"""

import ftplib
import os
import sys
import time

host, port, user, password, originals, enough, pace = sys.argv[1:]
names = sorted(os.listdir(originals))
fetched, failed = 0, []


def fetch(name):
    content = bytearray()

    def take(chunk):
        content.extend(chunk)
        time.sleep(float(pace) * len(chunk) / 65536)

    ftp = ftplib.FTP(timeout=15)
    ftp.connect(host, int(port))
    ftp.login(user, password)
    ftp.cwd("pub")
    ftp.retrbinary("RETR " + name, take, blocksize=65536)
    ftp.quit()
    with open(os.path.join(originals, name), "rb") as file:
        if content != file.read():
            raise ValueError("the copy differs")


while fetched < len(names) or not os.path.exists(enough):
    name = names[fetched % len(names)]
    try:
        fetch(name)
    except (*ftplib.all_errors, ValueError) as error:
        failed.append(f"{name}: {error!r}")
    fetched += 1

print(f"{fetched} fetched, " + ("; ".join(failed) or "no file failed"))
sys.exit(bool(failed))
