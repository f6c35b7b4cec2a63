"""crit as an oracle: one process answers for many images, since each start of crit costs a fifth of a second.

Reads requests from standard input and answers on standard output. A request is a letter, a length of 32 bits and as
many bytes; each answer begins with how many parts it has, a part is a letter (o: all right, e: an error's text), a
length and bytes.

    d IMAGE   compact JSON, pretty JSON, how many entries `crit info` counts
    n IMAGE   pretty JSON without payloads, as `crit show --nopl`
    e JSON    the image's bytes
    x PATH    ps, fds, mems and rss of the directory, as `crit x` prints them

The first thing it says, unasked, is crit's version.
"""

import contextlib
import io
import json
import struct
import sys

import crit
import crit.__main__ as program
from pycriu import images


def decode(data, pretty, no_payload=False):
    image = images.load(io.BytesIO(data), pretty, no_payload)
    return json.dumps(image, indent=4 if pretty else None).encode()


def explore(path, what):
    # what it remembers of the directory before
    program.files_img = None
    program.files_cache.clear()
    for file_type in program.file_types.values():
        file_type["img"] = None
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        program.explore({"dir": path, "what": what})
    return text.getvalue().encode()


def attempt(work):
    # whatever crit dies of is its answer
    try:
        return b"o", work()
    except BaseException as error:
        return b"e", f"{type(error).__name__}: {error}".encode(errors="replace")


def answer(letter, data):
    if letter == b"d":
        yield attempt(lambda: decode(data, False))
        yield attempt(lambda: decode(data, True))
        yield attempt(lambda: str(images.info(io.BytesIO(data))["count"]).encode())
    elif letter == b"n":
        yield attempt(lambda: decode(data, True, True))
    elif letter == b"e":
        yield attempt(lambda: images.dumps(json.loads(data.decode())))
    elif letter == b"x":
        for what in ["ps", "fds", "mems", "rss"]:
            yield attempt(lambda: explore(data.decode(), what))


def say(parts):
    out = sys.stdout.buffer
    parts = list(parts)
    out.write(struct.pack("<I", len(parts)))
    for letter, data in parts:
        out.write(letter + struct.pack("<I", len(data)) + data)
    out.flush()


def main():
    sys.setrecursionlimit(10000)
    say([(b"o", crit.__version__.encode())])
    source = sys.stdin.buffer
    while head := source.read(5):
        length = struct.unpack("<I", head[1:])[0]
        say(answer(head[:1], source.read(length)))


main()
