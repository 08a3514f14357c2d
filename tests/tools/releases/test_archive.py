"""A source distribution is read whole and unchanged, or refused before anything of it is used."""

from __future__ import annotations

import gzip
import io
import re
import tarfile

import pytest

from slimfork.releases import archive
from slimfork.releases.archive import File, read_sdist
from slimfork.releases.fetch import fetch
from slimfork.releases.pins import find
from slimfork.terminal.errors import UsageError


def member(name, content=b"x", *, kind=tarfile.REGTYPE, mode=0o644, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname = kind, mode, link
    info.size = len(content) if kind == tarfile.REGTYPE else 0
    return info, content


def tar_of(*members):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content) if info.size else None)
    return raw.getvalue()


@pytest.fixture
def archive_of(tmp_path):
    def write(*members, data=None):
        path = tmp_path / "upstream-1.0.tar.gz"
        path.write_bytes(gzip.compress(tar_of(*members) if data is None else data))
        return path

    return write


def refusal(path):
    with pytest.raises(UsageError) as caught:
        read_sdist(path)
    assert caught.value.code == 2
    assert caught.value.message.startswith("upstream-1.0.tar.gz ")
    assert "\n" not in caught.value.message
    return caught.value.message


def test_a_release_is_read_byte_for_byte(archive_of):
    odd = b"\xef\xbb\xbfa\r\n\tb\x00 no newline"
    path = archive_of(
        member("u-1.0", kind=tarfile.DIRTYPE, mode=0o755),
        member("u-1.0/PKG-INFO", b"Name: u\n"),
        member("u-1.0/setup.cfg", b"[egg_info]\n"),
        member("u-1.0/u/__init__.py", odd),
        member("u-1.0/u/é ß.py", b""),
        member("u-1.0/u/run.sh", b"#!/bin/sh\n", mode=0o755),
    )
    assert read_sdist(path) == {
        "PKG-INFO": File(content=b"Name: u\n", executable=False),
        "setup.cfg": File(content=b"[egg_info]\n", executable=False),
        "u/__init__.py": File(content=odd, executable=False),
        "u/é ß.py": File(content=b"", executable=False),
        "u/run.sh": File(content=b"#!/bin/sh\n", executable=True),
    }


def test_only_the_generated_folder_is_left_out(archive_of):
    path = archive_of(
        member("u-1.0/u.egg-info/SOURCES.txt"), member("u-1.0/src/u.egg-info/PKG-INFO"), member("u-1.0/x.egg-info")
    )
    assert list(read_sdist(path)) == ["x.egg-info"]


HOSTILE = {
    "climbs out": (member("u-1.0/../../evil"), "climbs out with .."),
    "is only dots": (member("../evil"), "climbs out with .."),
    "is absolute": (member("/etc/evil"), "has an absolute path"),
    "has a drive": (member("C:/evil"), "has a drive letter"),
    "has a drive, relative": (member("c:evil"), "has a drive letter"),
    "has backslashes": (member("u-1.0/..\\..\\evil"), "has a backslash"),
    "is a share": (member("\\\\host\\share"), "has a backslash"),
    "has a dot": (member("u-1.0/./evil"), "has no plain path"),
    "has an empty part": (member("u-1.0//evil"), "has no plain path"),
    "has a newline": (member("u-1.0/a\nb"), "has an unprintable name"),
    "has an escape": (member("u-1.0/\x1b[2J"), "has an unprintable name"),
    "is git's": (member("u-1.0/.git/hooks/post-checkout"), "would write into git's own folder"),
    "is git's on a Mac": (member("u-1.0/sub/.GIT/config"), "would write into git's own folder"),
    "links out": (
        member("u-1.0/evil", kind=tarfile.SYMTYPE, link="../../etc/passwd"),
        "is a link to '../../etc/passwd'",
    ),
    "links to root": (member("u-1.0/evil", kind=tarfile.SYMTYPE, link="/etc/passwd"), "is a link to '/etc/passwd'"),
    "links inside": (member("u-1.0/evil", kind=tarfile.SYMTYPE, link="good.py"), "is a link to 'good.py'"),
    "hard link out": (member("u-1.0/evil", kind=tarfile.LNKTYPE, link="../evil"), "is a link to '../evil'"),
    "hard link inside": (member("u-1.0/evil", kind=tarfile.LNKTYPE, link="u-1.0/good.py"), "is a link to"),
    "is a device": (member("u-1.0/evil", kind=tarfile.CHRTYPE), "is neither a plain file nor a folder"),
    "is a disk": (member("u-1.0/evil", kind=tarfile.BLKTYPE), "is neither a plain file nor a folder"),
    "is a pipe": (member("u-1.0/evil", kind=tarfile.FIFOTYPE), "is neither a plain file nor a folder"),
    "is of no known type": (member("u-1.0/evil", kind=b"Z"), "is neither a plain file nor a folder"),
    "comes twice": (member("u-1.0/good.py", b"evil"), "comes twice"),
    "has another top": (member("v-1.0/evil"), "is not in the one top folder"),
    "is beside the top": (member("evil"), "is not in the one top folder"),
    "is the top": (member("u-1.0"), "is beside the top folder"),
    "is below a file": (member("u-1.0/good.py/evil"), "lies below a file"),
}


@pytest.mark.parametrize(("hostile", "why"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_member_is_refused_by_name(archive_of, hostile, why):
    message = refusal(archive_of(member("u-1.0/good.py"), hostile))
    assert why in message
    assert message.endswith(repr(hostile[0].name))


@pytest.mark.parametrize("hostile", [hostile for hostile, _ in HOSTILE.values()], ids=HOSTILE)
def test_a_hostile_member_is_refused_wherever_it_comes(archive_of, hostile):
    refusal(archive_of(hostile, member("u-1.0/good.py")))


def test_python_without_tarfile_filters_reads_as_well(archive_of, monkeypatch):
    for name in ("data_filter", "FilterError"):  # 3.11.2 has neither
        monkeypatch.delattr(tarfile, name, raising=False)
    assert archive.read_sdist(archive_of(member("u-1.0/good.py"))).keys() == {"good.py"}
    refusal(archive_of(member("u-1.0/good.py"), member("u-1.0/../../evil")))


def test_a_bomb_is_refused(archive_of, monkeypatch):
    monkeypatch.setattr(archive, "MAX_BYTES", 1 << 20)
    path = archive_of(member("u-1.0/zeros", bytes(4 << 20)))
    assert path.stat().st_size < 10_000
    assert "unpacks to more than 1 MiB" in refusal(path)


def test_a_flood_of_members_is_refused(archive_of, monkeypatch):
    monkeypatch.setattr(archive, "MAX_MEMBERS", 10)
    assert "more than 10 members" in refusal(archive_of(*(member(f"u-1.0/{n}") for n in range(11))))


@pytest.mark.parametrize("kept", [0, 1, 10, 100, 0.5, -9, -1])
def test_a_cut_gzip_is_refused(archive_of, kept):
    path = archive_of(member("u-1.0/a.py", bytes(range(256)) * 50), member("u-1.0/b.py"))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept) if isinstance(kept, float) else kept])
    assert re.search(r"is not a whole (gzip file|tar archive)", refusal(path))


def test_a_flipped_bit_is_refused(archive_of):
    path = archive_of(member("u-1.0/a.py", bytes(range(256)) * 50))
    broken = bytearray(path.read_bytes())
    broken[-6] ^= 1  # in the checksum: everything before it unpacks
    path.write_bytes(broken)
    assert "is not a whole gzip file" in refusal(path)


@pytest.mark.parametrize("blocks", [1, 2, 3, 4])
def test_a_tar_that_just_stops_is_refused(archive_of, blocks):
    data = tar_of(member("u-1.0/a.py", b"a" * 600), member("u-1.0/b.py"))
    assert "is not a whole tar archive" in refusal(archive_of(data=data[: blocks * 512]))


def test_a_damaged_header_is_not_taken_for_the_end(archive_of):
    data = bytearray(tar_of(member("u-1.0/a.py"), member("u-1.0/b.py")))
    data[1024] ^= 1
    assert "cut or damaged after 'u-1.0/a.py'" in refusal(archive_of(data=bytes(data)))


@pytest.mark.parametrize("data", [b"", b"no tar", bytes(10240), b"\xff" * 2048])
def test_what_is_no_archive_is_refused(archive_of, data):
    refusal(archive_of(data=data))


def test_an_empty_release_is_refused(archive_of):
    assert "holds no files" in refusal(archive_of(member("u-1.0", kind=tarfile.DIRTYPE)))


def test_a_real_release_is_read_whole():
    path = fetch(find("ultralytics==8.4.190"))
    files = read_sdist(path)
    with tarfile.open(path) as tar:
        below = {m.name.partition("/")[2]: m for m in tar if m.isfile() and ".egg-info/" not in m.name}
        assert set(files) == set(below)
        for name, info in below.items():
            assert files[name].content == tar.extractfile(info).read()
    assert b'__version__ = "8.4.190"' in files["ultralytics/__init__.py"].content
    assert [name for name, file in files.items() if file.executable] == [
        "ultralytics/data/scripts/download_weights.sh",
        "ultralytics/data/scripts/get_coco.sh",
        "ultralytics/data/scripts/get_coco128.sh",
        "ultralytics/data/scripts/get_imagenet.sh",
    ]


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_headers_upon_headers_are_refused(archive_of, kind):
    """tarfile reads what such a header announces by calling itself."""
    header = tarfile.TarInfo("upstream-1.0/x")
    header.type, header.size = kind, len(b"10 path=a\n")
    chain = (header.tobuf(tarfile.USTAR_FORMAT) + b"10 path=a\n".ljust(tarfile.BLOCKSIZE, b"\0")) * 5000
    assert "headers upon headers" in refusal(archive_of(data=chain + tar_of(member("upstream-1.0/a"))))
