"""Python's ftplib as a client of the tests.

ftplib_client.py story|abort HOST PORT USER PASSWORD passive|active DIRECTORY
"""

import ftplib
import os
import socket
import sys

task, host, port, user, password, mode, directory = sys.argv[1:]
os.chdir(directory)
ftp = ftplib.FTP(timeout=15)
ftp.set_debuglevel(1)
ftp.connect(host, int(port))
ftp.login(user, password)
ftp.set_pasv(mode == "passive")
ftp.cwd("pub")


def story():
    """The story of clients.rs."""
    with open("up.bin", "rb") as file:
        ftp.storbinary("STOR keep.bin", file)
    ftp.mkd("story")
    with open("up.bin", "rb") as file:
        ftp.storbinary("STOR story/up.bin", file)
    with open("tail.bin", "rb") as file:
        ftp.storbinary("APPE story/up.bin", file)
    ftp.rename("story/up.bin", "story/moved.bin")
    with open("list.txt", "w") as file:
        ftp.retrlines("LIST story", lambda line: file.write(line + "\n"))
    with open("down.bin", "wb") as file:
        ftp.retrbinary("RETR story/moved.bin", file.write)
    with open("part.bin", "ab") as file:
        ftp.retrbinary("RETR story/moved.bin", file.write, rest=file.tell())
    with open("who.txt", "wb") as file:
        ftp.retrbinary("RETR who.txt", file.write)
    ftp.delete("story/moved.bin")
    ftp.rmd("story")
    ftp.quit()


def abort():
    """Aborts a download with urgent data, then uses the session for another."""
    data = ftp.transfercmd("RETR big.bin")
    data.recv(1000)
    # What ftplib.abort() sends. It would read one reply; servers give two, and vsftpd gives none
    # before the data connection ends.
    ftp.sock.sendall(b"ABOR\r\n", socket.MSG_OOB)
    data.close()
    replies = []
    while replies[-1:] != ["225"] and replies != ["426", "226"]:
        replies.append(ftp.getmultiline()[:3])
        assert replies[-1] in ("225", "226", "426"), replies
    with open("who.txt", "wb") as file:
        ftp.retrbinary("RETR who.txt", file.write)
    ftp.quit()


{"story": story, "abort": abort}[task]()
