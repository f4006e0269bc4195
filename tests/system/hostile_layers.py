"""Layers that try to get out, to be huge or to be nonsense: name -> (tar, what the refusal says or None, what is then in the image)."""
import io
import os
import tarfile

from images import add_directory, add_file, add_link


def tar_of(fill, **options):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as archive:
        fill(archive)
    return buffer.getvalue()


def links(*pairs, files=()):
    def fill(archive):
        for name, target, kind in pairs:
            add_link(archive, name, target, kind)
        for name in files:
            add_file(archive, name, b"hostile\n")
    return tar_of(fill)


def with_header(offset, value):
    """An archive of one file of whose header some bytes are others, with the right checksum."""
    block = bytearray(tar_of(lambda archive: add_file(archive, "file", b"x" * 100)))
    block[offset:offset + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block[:512])
    return bytes(block)


def device(archive):
    entry = tarfile.TarInfo("dev/memory")
    entry.type, entry.devmajor, entry.devminor, entry.mode = tarfile.CHRTYPE, 1, 1, 0o666
    archive.addfile(entry)
    add_file(archive, "after", b"after\n")


def nested(levels):
    def fill(archive):
        add_file(archive, "d/" * levels + "f", b"deep\n")
    return tar_of(fill)


def twice(archive):
    add_file(archive, "twice", b"first\n")
    add_link(archive, "twice", "/etc/passwd")
    add_file(archive, "twice", b"last\n")


def not_utf8(archive):
    add_file(archive, os.fsdecode(b"caf\xe9\xff"), b"latin\n")


def whiteout_directory(archive):
    add_directory(archive, ".wh.directory")
    add_file(archive, ".wh.directory/f", b"x")


SYMBOLIC, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE
OUTSIDE = "/tmp/berth-hostile-outside"
PLAIN = tar_of(lambda archive: add_file(archive, "file", b"x" * 2000))

LAYERS = {
    "a name that climbs": (links(files=["../../../../../.." + OUTSIDE]), "outside|leads|\\.\\.", None),
    "a name that climbs from inside": (links(files=["a/../../../x"]), "outside|leads|\\.\\.", None),
    "an absolute name": (links(files=[OUTSIDE]), None, f"cat {OUTSIDE}"),
    "a file through an absolute link": (links(("out", "/tmp", SYMBOLIC), files=["out/berth-hostile-outside"]), None, f"cat {OUTSIDE}"),
    "a file through a climbing link": (links(("up", "../../../../../../tmp", SYMBOLIC), files=["up/berth-hostile-outside"]), None, f"cat {OUTSIDE}"),
    "a file over a link": (links(("over", OUTSIDE, SYMBOLIC), files=["over"]), None, "test ! -L /over && cat /over"),
    "a file through a loop of links": (links(("a", "b", SYMBOLIC), ("b", "a", SYMBOLIC), files=["a/file"]), "symbolic links|too many", None),
    "a hard link to the host": (links(("passwd", "/etc/hostname", HARD)), "etc/hostname", None),
    "a climbing hard link": (links(("passwd", "../../../../../../etc/hostname", HARD)), "outside|leads|\\.\\.|hostname", None),
    "hard links in a circle": (links(("a", "b", HARD), ("b", "a", HARD)), "hard link|'?b'?", None),
    "a hard link to itself": (links(("a", "a", HARD)), None, "test ! -e /a && echo nothing"),
    "a hard link through a link": (links(("out", "/etc", SYMBOLIC), ("stolen", "out/hostname", HARD)), "hostname", None),
    "a device": (tar_of(device), None, "test ! -e /dev/memory && cat /after"),
    "a file as a directory": (links(files=["file", "file/below"]), "file", None),
    "a name twice": (tar_of(twice), None, "test ! -L /twice && cat /twice"),
    "a name that is not utf-8": (tar_of(not_utf8, format=tarfile.GNU_FORMAT, errors="surrogateescape", encoding="utf-8"), None, "cat /caf*"),
    "1000 directories deep": (nested(1000), None, "cat " + "d/" * 1000 + "f"),
    "too deep": (nested(3000), "4095|too long", None),
    "a directory named like a whiteout": (tar_of(whiteout_directory), "whiteout|\\.wh\\.", None),
    "a whiteout of nothing": (links(files=[".wh."]), "whiteout|\\.wh\\.", None),
    "a whiteout of the parent": (links(files=["a/.wh..."]), "whiteout|\\.wh\\.", None),
    "a size of 8 EiB": (with_header(124, b"\x80" + b"\0" * 3 + b"\x7f" + b"\xff" * 7), "limit|larger|size|truncated|too large|end", None),
    "a size below zero": (with_header(124, b"\xff" * 12), "size|negative|number", None),
    "a wrong checksum": (PLAIN[:150] + b"77" + PLAIN[152:], "checksum", None),
    "an unknown type": (with_header(156, b"Z"), "type", None),
    "an owner without a number here": (with_header(108, b"7777777\0"), "2097151|range|owner|id", None),
    "a cut archive": (PLAIN[:1500], "truncated|ends|cut|unexpected|end", None),
    "text": (b"this is no archive\n" * 100, "checksum|archive|header|tar|whole", None)}
