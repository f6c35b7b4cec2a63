"""One interpreter, alone with few modules: a listening socket, a file it writes, and things to find in its memory."""

import _signal
import _socket

NEEDLES = [f"frozen python needle {number:02}" for number in range(10)]
JOURNAL = open("/srv/journal.txt", "w+", encoding="utf-8")


class Counter:
    def __init__(self):
        self.counts = {"sockets": 1, "journal lines": 3}
        self.secret = b"a secret in bytes"
        self.wide = "☃ a string in two-byte units"


def main():
    counter = Counter()
    listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 7100))
    listener.listen(8)
    for number in range(counter.counts["journal lines"]):
        print(f"journal line {number}", file=JOURNAL)
    JOURNAL.flush()
    with open("/srv/.ready", "w", encoding="utf-8") as ready:
        print("ready", file=ready)
    while True:
        _signal.pause()


main()
