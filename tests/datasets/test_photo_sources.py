"""Collections of photographs: folders, and RecordIO files written here by a writer that shares nothing with the reader."""

import io
import os
import pickle
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from helpers.datasets import PhotoFolder, PhotoRecords
from helpers.errors import UserError


def picture(value, kind="PNG", size=(80, 72)):
    """The bytes of a file with a plain picture of that grey value."""
    file = io.BytesIO()
    Image.new("RGB", size, (value, value, value)).save(file, kind)
    return file.getvalue()


def put(folder, name, data):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def grey_of(photo):
    return round(float(photo.image.mean()) * 255)


def people_of(photos):
    return list(dict.fromkeys(entry.person for entry in photos))


# Folders.


def test_photographs_of_people_in_folders(tmp_path):
    put(tmp_path, "0000102/002.jpg", picture(30, "JPEG"))
    put(tmp_path, "0000102/001.jpg", picture(20, "JPEG"))
    put(tmp_path, "Ann_Lee/Ann_Lee_0001.PNG", picture(10))
    put(tmp_path, "Ann_Lee/notes.txt", b"no picture")
    put(tmp_path, "Ann_Lee/.hidden.jpg", picture(1))
    photos = PhotoFolder(tmp_path)
    assert [(e.id, e.person) for e in photos] == [
        ("0000102/001.jpg", "0000102"),
        ("0000102/002.jpg", "0000102"),
        ("Ann_Lee/Ann_Lee_0001.PNG", "Ann_Lee"),
    ]
    assert [grey_of(load()) for _, _, load in photos] == [20, 30, 10]
    assert people_of(photos) == ["0000102", "Ann_Lee"] and photos.unreadable == []
    assert len(photos) == len(list(photos)) == 3
    assert photos[-1].id == photos[2].id and [e.id for e in photos[1:]] == [photos[1].id, photos[2].id]
    with pytest.raises(IndexError):
        photos[3]


def test_deeper_folders_keep_their_names_apart(tmp_path):
    for split in ("train", "test"):
        put(tmp_path, f"{split}/n000001/0001_01.jpg", picture(5, "JPEG"))
    assert people_of(PhotoFolder(tmp_path)) == ["test/n000001", "train/n000001"]


def test_an_entry_can_be_sent_to_another_process(tmp_path):
    put(tmp_path, "a/b.png", picture(77))
    entry = pickle.loads(pickle.dumps(PhotoFolder(tmp_path)[0]))
    assert grey_of(entry.load()) == 77


def test_unusable_files_are_listed_and_the_others_stay(tmp_path):
    put(tmp_path, "a/good.png", picture(40))
    put(tmp_path, "a/empty.jpg", b"")
    put(tmp_path, "a/page.jpg", b"<html>not found</html>")
    put(tmp_path, "stray.jpg", picture(3))
    os.symlink(tmp_path / "nowhere.jpg", tmp_path / "a" / "broken.jpg")
    photos = PhotoFolder(tmp_path)
    assert {u.id: u.reason.split(":")[0] for u in photos.unreadable} == {
        "a/empty.jpg": "is empty",
        "a/broken.jpg": "cannot be read",
        "stray.jpg": "lies in no person's folder",
    }
    assert [e.id for e in photos] == ["a/good.png", "a/page.jpg"]
    with pytest.raises(UserError, match="web page"):
        photos[1].load()


def test_every_picture_that_can_be_read_is_a_photograph(tmp_path):
    """Whatever its ending; what cannot be read says why, and lists and landmarks are no photographs."""
    kinds = {
        ".jfif": "JPEG",
        ".jpe": "JPEG",
        ".mpo": "JPEG",
        "": "JPEG",
        ".JPG_large": "JPEG",
        ".png2": "PNG",
    }
    kinds |= {".avif": "AVIF", ".jp2": "JPEG2000", ".ppm": "PPM", ".tga": "TGA", ".orig": "WEBP", ".0": "BMP"}
    for number, (ending, kind) in enumerate(kinds.items()):
        if kind in Image.SAVE:
            put(tmp_path, f"a/{number:02d}{ending}", picture(200, kind))
    heic = struct.pack(">I", 24) + b"ftypheic" + bytes(400)
    put(tmp_path, "b/IMG_1.HEIC", heic)
    put(tmp_path, "b/IMG_2", heic)
    for name, data in (
        ("points.pts", b"version: 1"),
        ("list", b"0001 0002"),
        ("video.MOV", b"\0\0\0\x14ftypqt  "),
        ("weights.h5", b"\x89HDF\r\n\x1a\n"),
        ("nothing", b""),
    ):
        put(tmp_path, f"a/{name}", data)
    photos = PhotoFolder(tmp_path)
    assert people_of(photos) == ["a", "b"] and photos.unreadable == []
    ids = [entry.id for entry in photos if entry.person == "a"]
    assert len(ids) == sum(kind in Image.SAVE for kind in kinds.values())
    assert all(abs(grey_of(entry.load()) - 200) < 3 for entry in photos if entry.person == "a")
    assert [entry.id for entry in photos if entry.person == "b"] == ["b/IMG_1.HEIC", "b/IMG_2"]
    for entry in photos:
        if entry.person == "b":
            with pytest.raises(UserError, match="HEIC"):
                entry.load()


def test_names_that_are_not_unicode(tmp_path):
    os.makedirs(os.fsencode(tmp_path) + b"/Ren\xe9")
    with open(os.fsencode(tmp_path) + b"/Ren\xe9/caf\xe9.png", "wb") as file:
        file.write(picture(50))
    (entry,) = PhotoFolder(tmp_path)
    assert (entry.id, entry.person) == ("Ren\\xe9/caf\\xe9.png", "Ren\\xe9")
    assert grey_of(pickle.loads(pickle.dumps(entry)).load()) == 50


def test_what_is_no_file_at_all(tmp_path):
    put(tmp_path, "a/one.png", picture(1))
    os.mkfifo(tmp_path / "a" / "pipe.jpg")
    os.mkfifo(tmp_path / "a" / "pipe")
    os.symlink("loop.jpg", tmp_path / "a" / "loop.jpg")
    photos = PhotoFolder(tmp_path)
    assert [entry.id for entry in photos] == ["a/one.png"]
    assert [one.id for one in photos.unreadable] == ["a/loop.jpg", "a/pipe.jpg"]


def test_links_that_lead_back_end(tmp_path):
    put(tmp_path, "a/one.png", picture(1))
    os.symlink(tmp_path, tmp_path / "a" / "up")
    elsewhere = tmp_path.parent / f"{tmp_path.name}_other"
    put(elsewhere, "two.png", picture(2))
    os.symlink(elsewhere, tmp_path / "b")
    assert [e.id for e in PhotoFolder(tmp_path)] == ["a/one.png", "b/two.png"]


def test_folders_of_no_use(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        PhotoFolder(tmp_path / "nothing")
    with pytest.raises(UserError, match="one folder per person"):
        PhotoFolder(tmp_path)
    file = put(tmp_path, "alone.jpg", picture(3))
    with pytest.raises(UserError, match="lies in no person's folder"):
        PhotoFolder(tmp_path)
    with pytest.raises(UserError, match="is a file"):
        PhotoFolder(file)


# RecordIO.


def record(data):
    """The bytes of one record: cut where the mark stands at a multiple of 4 of the data."""
    mark = (0xCED7230A).to_bytes(4, "little")
    pieces, start = [], 0
    for at in range(0, len(data) - len(data) % 4, 4):
        if data[at : at + 4] == mark:
            pieces.append(data[start:at])
            start = at + 4
    pieces.append(data[start:])
    out = b""
    for number, piece in enumerate(pieces):
        part = 0 if len(pieces) == 1 else 1 if number == 0 else 3 if number == len(pieces) - 1 else 2
        out += mark + ((part << 29) + len(piece)).to_bytes(4, "little") + piece + bytes(-len(piece) % 4)
    return out


def labelled(labels, image, key=0):
    """Bytes of a record's content; labels: a number, or a list of them."""
    if isinstance(labels, list):
        return struct.pack("<IfQQ", len(labels), 0.0, key, 0) + np.array(labels, "<f4").tobytes() + image
    return struct.pack("<IfQQ", 0, labels, key, 0) + image


def write_records(path, contents, keys=None):
    lines, data = [], b""
    for key, content in zip(keys or range(len(contents)), contents, strict=True):
        lines.append(f"{key}\t{len(data)}\n")
        data += record(content)
    path.write_bytes(data)
    path.with_suffix(".idx").write_text("".join(lines))
    return path


def casia(tmp_path):
    """As InsightFace packs it: a head, four pictures of two people, and two lists."""
    pictures = [labelled(0.0, picture(10)), labelled([1.0, 0.0], picture(20, "JPEG"))]
    pictures += [labelled(1.0, picture(30)), labelled(7.0, picture(40))]
    contents = [labelled([5.0, 7.0], b""), *pictures, labelled([1.0, 2.0], b""), labelled([2.0, 5.0], b"")]
    return write_records(tmp_path / "train.rec", contents)


@pytest.mark.parametrize("indexed", [True, False])
def test_records_of_casia(tmp_path, indexed):
    path = casia(tmp_path)
    if not indexed:
        path.with_suffix(".idx").unlink()
    for source in (path, tmp_path):
        photos = PhotoRecords(source)
        assert [(e.id, e.person) for e in photos] == [
            ("00000001", "0"),
            ("00000002", "1"),
            ("00000003", "1"),
            ("00000004", "7"),
        ]
        assert [grey_of(e.load()) for e in photos] == [10, 20, 30, 40]
        assert people_of(photos) == ["0", "1", "7"] and photos.unreadable == []
    assert pickle.loads(pickle.dumps(photos[2])).load().name == "00000003"


def test_records_without_a_head_are_all_pictures(tmp_path):
    path = write_records(
        tmp_path / "some.rec", [labelled(3.0, picture(50)), labelled(4.0, picture(60))], keys=[12, 5]
    )
    assert [(e.id, e.person, grey_of(e.load())) for e in PhotoRecords(path)] == [
        ("00000005", "4", 60),
        ("00000012", "3", 50),
    ]


@pytest.mark.parametrize("places", [[0], [8], [0, 4], [4, 12, 16]])
def test_a_picture_that_holds_the_mark_itself(tmp_path, places):
    """A PNG with a text chunk full of marks at multiples of 4, so that the record comes in parts."""
    image = picture(90)
    body = bytearray(40)
    for place in places:
        body[place : place + 4] = (0xCED7230A).to_bytes(4, "little")
    # The head of the record takes 24 bytes, PNG's signature and first chunk 33; the chunk's own head 8.
    body = bytes(-(24 + 33 + 8) % 4) + bytes(body)
    chunk = len(body).to_bytes(4, "big") + b"teSt" + body
    chunk += zlib.crc32(chunk[4:]).to_bytes(4, "big")
    content = labelled(2.0, image[:33] + chunk + image[33:])
    assert record(content).count((0xCED7230A).to_bytes(4, "little")) == 1 + len(places)
    path = write_records(tmp_path / "parts.rec", [content, labelled(1.0, picture(20))])
    for _ in range(2):
        photos = PhotoRecords(path)
        assert [grey_of(e.load()) for e in photos] == [90, 20] and photos.unreadable == []
        path.with_suffix(".idx").unlink(missing_ok=True)


def test_a_label_that_begins_with_the_mark(tmp_path):
    """The first part is then empty."""
    content = (0xCED7230A).to_bytes(4, "little") + bytes(20)
    assert record(content)[4:8] == (1 << 29).to_bytes(4, "little")
    path = write_records(tmp_path / "odd.rec", [labelled(2.0, picture(20)), content])
    photos = PhotoRecords(path)
    assert len(photos) == 1 and "claims" in photos.unreadable[0].reason


def test_damaged_records_are_listed_and_the_others_stay(tmp_path):
    good, cut = labelled(1.0, picture(20)), picture(30)
    contents = [
        good,
        labelled(1.0, b"short"),
        labelled(0.5, cut),
        b"tiny",
        labelled(2.0, cut[: len(cut) // 2]),
        good,
    ]
    path = write_records(tmp_path / "bad.rec", contents)
    path.write_bytes(path.read_bytes()[:-8])
    path.with_suffix(".idx").write_text(path.with_suffix(".idx").read_text() + "77\t6\n78\t-4\n")
    photos = PhotoRecords(path)
    assert [e.id for e in photos] == ["00000000", "00000004"]
    reasons = {u.id: u.reason for u in photos.unreadable}
    assert "too few for a picture" in reasons["00000001"] and "label 0.5" in reasons["00000002"]
    assert "too few for a label" in reasons["00000003"] and "truncated" in reasons["00000005"]
    assert "another .rec" in reasons["00000077"] and "00000078" in reasons
    with pytest.raises(UserError, match=r"bad.rec#00000004: .*damaged"):
        photos[1].load()


def test_files_of_no_use(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        PhotoRecords(tmp_path / "train.rec")
    with pytest.raises(UserError, match="not a RecordIO file"):
        PhotoRecords(put(tmp_path, "train.rec", b"PK\x03\x04 a zip"))
    with pytest.raises(UserError, match="no picture in it"):
        PhotoRecords(write_records(tmp_path / "empty.rec", [b"", b""]))
    path = casia(tmp_path)
    path.with_suffix(".idx").write_text("0\t0\nnonsense\n")
    with pytest.raises(UserError, match="line 2"):
        PhotoRecords(path)
