"""A pyftpdlib server for the tests: pyftpd.py ADDRESS PORT ROOT LOG USER PASSWORD"""

import logging
import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

address, port, root, log, user, password = sys.argv[1:]
logging.basicConfig(filename=log, level=logging.DEBUG)
authorizer = DummyAuthorizer()
authorizer.add_user(user, password, root, perm="elradfmwMT")


class Handler(FTPHandler):
    banner = "pyftpdlib of the tests"


Handler.authorizer = authorizer
FTPServer((address, int(port)), Handler).serve_forever()
