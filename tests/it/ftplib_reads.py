"""What Python's ftplib makes of replies: ftplib_reads.py 227|229|replies FILE

Each line of FILE is a reply, or a stream of them, in hexadecimal. For a reply the port is printed, for a
stream the codes of its replies and how many lines each has; `-` where ftplib takes it for an error.
"""

import ftplib
import io
import sys

what, path = sys.argv[1:]


def port(text):
    if what == "227":
        return ftplib.parse227(text)[1]
    return ftplib.parse229(text, ("", 0))[1]


def replies(data):
    client = ftplib.FTP()
    # As ftplib makes it of its socket.
    client.file = io.TextIOWrapper(io.BytesIO(data), encoding="latin-1")
    found = []
    while True:
        try:
            reply = client.getmultiline()
        except EOFError:
            return " ".join(found)
        found.append(f"{reply[:3]}:{reply.count(chr(10)) + 1}")


for line in open(path):
    data = bytes.fromhex(line)
    try:
        print(replies(data) if what == "replies" else port(data.decode("latin-1")))
    except (ftplib.Error, ValueError, IndexError):
        print("-")
