"""Another reader of version 2, written from docs/format-v2.md and nothing else: no schema, no library.

    read_v2.py DIRECTORY BUNDLE [PARENT...]

walks over the bundles, compares everything that the document says must fit, and writes the pagemaps and the pages files
of version 1 that the first one stands for into the directory. The others are its ancestors, the nearest first. It knows
raw and LZ4 blocks.
"""

import os
import struct
import sys

START, STOP, DIRECTORY, END, PAGE_BLOCK, BLOCK_TABLE = 1, 2, 4, 5, 6, 7
PAD, NOTE, V1_IMAGE, CHECKPOINT, PAGE_RUN = 0, 9, 10, 12, 64
PAGEMAPS = {7: "pagemap-%d.img", 8: "pagemap-shmem-%d.img"}
PAGES, CHECKPOINT_KIND, DIRECTORY_KIND = 9, 200, 201
ALIGNED, PRESENT, ZERO, CONT, BLOCKS = 8, 4, 1 << 8, 1 << 9, 1 << 12
SIGN = 0xFFFFFFFF << 32

TABLE = []
for number in range(256):
    for _ in range(8):
        number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
    TABLE.append(number)


def crc32c(data, before=0):
    sum = ~before & 0xFFFFFFFF
    for byte in data:
        sum = TABLE[(sum ^ byte) & 255] ^ sum >> 8
    return ~sum & 0xFFFFFFFF


def need(fits, what):
    if not fits:
        sys.exit("expected " + what)


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def as_varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def fields(data):
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 2:
            length, at = varint(data, at)
            value, at = data[at : at + length], at + length
        else:
            size = 8 if kind == 1 else 4
            value, at = int.from_bytes(data[at : at + size], "little"), at + size
        yield key >> 3, value


def fixed(data, keys, what):
    """The values of a message whose fields are all fixed, with these keys."""
    at, values = 0, []
    for key in keys:
        need(data[at] == key, what)
        size = 8 if key & 7 == 1 else 4
        values.append(int.from_bytes(data[at + 1 : at + 1 + size], "little"))
        at += 1 + size
    return values


class Record:
    def __init__(self, data, at):
        self.at, self.header = at, data[at : at + 24]
        self.type, self.count, size, self.sum = fixed(self.header, b"\x5d\x65\x69\x75", "a record")
        self.payload = data[at + 24 : at + 24 + size]
        need(len(self.payload) == size, "a whole record")
        self.end = at + 24 + size
        self.block = Block(self) if self.type == PAGE_BLOCK else None
        summed = self.block.prefix if self.block else self.payload
        need(self.type == STOP or crc32c(summed, crc32c(self.header[:20])) == self.sum, "the checksum of a record")

    def elements(self):
        stride = len(self.payload) // self.count if self.count else 0
        need(stride * self.count == len(self.payload), "elements of one size")
        return [self.payload[at : at + stride] for at in range(0, len(self.payload), stride)] if stride else []


class Block:
    def __init__(self, record):
        data = record.payload
        self.first, self.pages, self.codec, self.unit = fixed(data, b"\x09\x15\x1d\x25", "a block of pages")
        at, parts = 24, {}
        for key in b"\x2a\x32\x3a":
            if data[at] == key:
                length, start = varint(data, at + 1)
                parts[key], at = data[start : start + length], start + length
        need(data[at] == 0x42, "the data of a block")
        length, start = varint(data, at + 1)
        need(start + length == len(data), "data at the end of a block")
        words = lambda key: [word for (word,) in struct.iter_unpack("<I", parts.get(key, b""))]
        self.sizes, self.sums, self.prefix = words(0x2A), words(0x32), data[:start]
        need(not any(parts.get(0x3A, b"")), "zeros as padding")
        self.data, self.place = data[start:], (self.first, self.pages, record.at, 24 + start)

    def units(self, page_size):
        """Of each unit the number of its first page, its stored size and bytes, and its pages."""
        at, page = 0, self.first
        for unit in range(-(-self.pages // self.unit)):
            pages = min(self.unit, self.first + self.pages - page)
            length = pages * page_size
            size = self.sizes[unit] if self.codec else length
            stored, at = self.data[at : at + size], at + size
            need(not self.sums or crc32c(stored) == self.sums[unit], "the checksum of a unit")
            need(size <= length, "a unit that is not longer than its pages")
            plain = bytes(length) if size == 0 else stored if size == length else unpack(self.codec, stored)
            need(len(plain) == length, "a unit that unpacks to its pages")
            yield page, size, stored, [plain[at : at + page_size] for at in range(0, length, page_size)]
            page += pages
        need(at == len(self.data), "units that fill a block")


def unpack(codec, packed):
    need(codec == 1, "a codec that this reader knows")
    out, at = bytearray(), 0

    def length(start, at):
        more = 255 if start == 15 else 0
        while more == 255:
            more = packed[at]
            start, at = start + more, at + 1
        return start, at

    while True:
        token = packed[at]
        literals, at = length(token >> 4, at + 1)
        out += packed[at : at + literals]
        at += literals
        if at >= len(packed):
            return bytes(out)
        back = packed[at] | packed[at + 1] << 8
        copied, at = length(token & 15, at + 2)
        for _ in range(copied + 4):
            out.append(out[-back])


class Image:
    def __init__(self):
        self.sections, self.records, self.headers, self.sum, self.is_whole = [], [], 0, 0, False


def walk(data):
    """All images by dump, kind and id, in the order in which they begin; and the last END."""
    images, image, end, at, complete = {}, None, None, 0, 0
    while at < len(data):
        if data[at] == 0x0D:
            keys = b"\x0d\x15\x1d\x25\x29\x31\x3d\x45"
            magic, version, kind, flags, id, dump, _, sum = fixed(data[at : at + 48], keys, "the header of an image")
            need(data[at + 1 : at + 5] == b"CRIU" and sum == crc32c(data[at : at + 44]), "a sound header of an image")
            need(version == 2 and flags >> 16 == 0, "an image that this reader may read")
            known = images.get((dump, kind, id))
            need((known is not None and not known.is_whole) == bool(flags & 1), "an image once, or more of it")
            image = known if flags & 1 else images.setdefault((dump, kind, id), Image())
            image.sections.append([at, 48])
            at, is_first = at + 48, True
            continue
        record = Record(data, at)
        at = record.end
        if record.type == END:
            end = fixed(record.payload, b"\x09\x11\x19\x25", "an END")
            need(end[1] == at and end[3] == complete, "an END that says where it is, and how many images there are")
            need(all(image.is_whole for image in images.values()), "images that are whole before END")
            image, complete = None, 0
        elif image is None:
            need(record.type == PAD, "an image before its records")
        else:
            section = image.sections[-1]
            section[1] = at - section[0]
            need((record.type == START) == is_first, "START at the top of a section")
            need(record.type != START or record.count == len(image.sections) - 1, "sections in order")
            is_first = False
            if record.type == STOP:
                sum = crc32c(record.header[:20], image.sum)
                need((record.count, record.sum) == (image.headers, sum), "the STOP of these records")
                image.is_whole, image, complete = True, None, complete + 1
                continue
            need(record.type < 1 << 31, "a type that this reader need not know")
            image.headers, image.sum = image.headers + 1, crc32c(record.header, image.sum)
            image.records.append(record)
    need(end is not None and end[1] == len(data), "an END at the end")
    return images, end


def directory(images, end, dump):
    """The directory and the table of blocks, against what the walk found."""
    image = images[dump, DIRECTORY_KIND, 0]
    need(image.sections[0][0] == end[0], "the directory where END says")
    rows = [element for record in image.records if record.type == DIRECTORY for element in record.elements()]
    rows = [tuple(fixed(row, b"\x0d\x11\x19\x21", "a row of the directory")) for row in rows]
    found = [
        (kind, id, at, size)
        for (of, kind, id), image in images.items()
        for at, size in image.sections
        if of == dump and kind != DIRECTORY_KIND
    ]
    need(rows == sorted(found), "all sections in the directory")
    rows = [element for record in image.records if record.type == BLOCK_TABLE for element in record.elements()]
    rows = [tuple(fixed(row, b"\x09\x11\x19\x25", "a row of the table")) for row in rows]
    pages = images.get((dump, PAGES, 0), Image())
    blocks = [record.block for record in pages.records if record.block]
    need(rows in ([], sorted(block.place for block in blocks)), "all blocks in the table")
    return blocks


class Store:
    """Pages by their numbers, and units by the number of their first page."""

    def __init__(self, blocks, page_size):
        self.pages, self.units = {}, {}
        for block in blocks:
            for first, size, stored, pages in block.units(page_size):
                self.units[first] = (size, stored, len(pages), block.unit)
                for number, page in enumerate(pages, first):
                    need(number not in self.pages, "a page in one block")
                    self.pages[number] = page


class Entry:
    def __init__(self, vaddr, flags, index):
        self.vaddr, self.flags, self.index = vaddr, flags, index
        self.pages, self.per_block, self.sizes = 0, 0, []

    def message(self, style, is_extended):
        number = lambda key, value: bytes([key]) + as_varint(value)
        is_high = is_extended and self.vaddr >> 31 == 1
        out = number(0x08, self.vaddr | SIGN if is_high else self.vaddr)
        out += number(0x10, self.pages if style else 0)
        if style == 2:
            out += number(0x18, 1) if self.flags & 1 else b""
        else:
            out += number(0x20, self.flags & 0xFF)
        out += b"" if style else number(0x28, self.pages)
        if self.flags & BLOCKS:
            sizes = b"".join(map(as_varint, self.sizes))
            blocks = b"\x0a" + as_varint(len(sizes)) + sizes + number(0x10, sum(self.sizes)) + number(0x18, self.per_block)
            out += b"\x32" + as_varint(len(blocks)) + blocks
        return out


def pagemap(image, stores, page_size):
    """The pagemap and the pages file of version 1; no pages file where there was none."""
    facts = {number: value for record in image.records if record.type == V1_IMAGE for number, value in fields(record.payload)}
    notes = [dict(fields(record.payload)) for record in image.records if record.type == NOTE]
    notes = {note.get(1, 0): note for note in notes}
    pages, entries, end, index = bytearray(), [], 0, 0
    for record in image.records:
        for element in record.elements() if record.type == PAGE_RUN else []:
            vaddr, count, page, flags = fixed(element, b"\x09\x11\x19\x25", "a run")
            need(vaddr >= end and count > 0 and vaddr % page_size == 0, "runs that ascend")
            need(flags >> 16 & 255 < len(stores), "the ancestor that has the pages")
            store = stores[flags >> 16 & 255]
            end = vaddr + count * page_size
            if not flags & CONT:
                entries.append(Entry(vaddr, flags, index))
                pages += bytes(-len(pages) % page_size) if flags & ALIGNED else b""
            entry, index = entries[-1], index + 1
            need(vaddr == entry.vaddr + entry.pages * page_size, "a run that goes on")
            entry.pages += count
            last = page + count
            while flags & BLOCKS and page < last:
                size, stored, held, entry.per_block = store.units[page]
                entry.sizes.append(size)
                pages += stored
                page += held
            if flags & PRESENT and not flags & BLOCKS and 8 not in facts:
                zeros = bytes(page_size)
                pages += b"".join(zeros if flags & ZERO else store.pages[page + k] for k in range(count))
    pages += facts.get(9, b"")
    messages = [facts.get(10, b"\x08" + as_varint(facts[1]))]
    for entry in entries:
        note = notes.get(entry.index, {})
        messages.append(note.get(3) or entry.message(facts.get(5, 0), facts.get(11)) + note.get(2, b""))
    words = [0x56084025] if 2 in facts else [0x54564319, 0x56084025]
    framed = b"".join(struct.pack("<I", len(message)) + message for message in messages)
    return struct.pack("<%dI" % len(words), *words) + framed, None if 8 in facts else ("pages-%d.img" % facts[1], pages)


class Bundle:
    def __init__(self, path):
        with open(path, "rb") as file:
            data = file.read()
        self.images, end = walk(data)
        self.sum = Record(data, len(data) - 56).sum
        self.dump, kind, _ = next(iter(self.images))
        need(kind == CHECKPOINT_KIND, "the image CHECKPOINT first")
        blocks = directory(self.images, end, self.dump)
        records = self.images[self.dump, CHECKPOINT_KIND, 0].records
        (head,) = [list(fields(record.payload)) for record in records if record.type == CHECKPOINT]
        self.page_size = dict(head)[1]
        self.parents = [dict(fields(parent)) for number, parent in head if number == 7]
        self.store = Store(blocks, self.page_size)


def main(target, *bundles):
    bundles = [Bundle(path) for path in bundles]
    for bundle, parent in zip(bundles, bundles[1:]):
        said = bundle.parents[0]
        need((said[1], said.get(2, parent.sum)) == (parent.dump, parent.sum), "the parent that the bundle was made from")
    first, stores = bundles[0], [bundle.store for bundle in bundles]
    for (of, kind, id), image in first.images.items():
        if of == first.dump and kind in PAGEMAPS:
            entries, pages = pagemap(image, stores, first.page_size)
            for name, content in [(PAGEMAPS[kind] % id, entries), pages] if pages else [(PAGEMAPS[kind] % id, entries)]:
                with open(os.path.join(target, name), "wb") as file:
                    file.write(content)


main(*sys.argv[1:])
