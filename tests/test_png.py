"""The fast PNG reader gives Pillow's values, and leaves to Pillow whatever it cannot vouch for."""

from __future__ import annotations

import io
import itertools
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from segbench.masks import decode as decode_module
from segbench.masks.decode import MaskFileError, decode
from segbench.masks.png import CHANNELS, open_png, samples

KINDS = [
    *[(0, depth) for depth in (1, 2, 4, 8, 16)],
    *[(3, depth) for depth in (1, 2, 4, 8)],
    *[(2, 8), (4, 8), (6, 8)],
]
kinds = pytest.mark.parametrize(("colour_type", "depth"), KINDS)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def header(width, height, depth, colour_type, interlace=0) -> bytes:
    return chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlace)
    )


def filtered_rows(raw: bytes, rows: int, bpp: int, filters) -> bytes:
    """Raw rows with each row's filter applied (PNG specification, section 9)."""
    table = np.frombuffer(raw, dtype=np.uint8).reshape(rows, -1).astype(int)
    left = np.pad(table, ((0, 0), (bpp, 0)))[:, : table.shape[1]]
    above = np.pad(table, ((1, 0), (0, 0)))[:rows]
    corner = np.pad(above, ((0, 0), (bpp, 0)))[:, : table.shape[1]]
    neighbours = np.stack((left, above, corner))
    choice = np.abs(left + above - corner - neighbours).argmin(axis=0)[np.newaxis]
    paeth = np.take_along_axis(neighbours, choice, axis=0)[0]
    guesses = (0 * left, left, above, (left + above) // 2, paeth)
    out = bytearray()
    for y in range(rows):
        out += (
            bytes([filters[y]])
            + ((table - guesses[filters[y]])[y] % 256).astype(np.uint8).tobytes()
        )
    return bytes(out)


def png(rng, colour_type, depth, width, height, *, filters=None, before=b"", after=b"", level=6, split=1) -> bytes:  # fmt: skip
    """A PNG of random samples, few of them different."""
    bits = depth * CHANNELS[colour_type]
    row_bytes = (width * bits + 7) // 8
    raw = np.repeat(rng.integers(0, 256, height * row_bytes, dtype=np.uint8), 3)[
        : height * row_bytes
    ]
    if colour_type in {4, 6} and rng.random() < 0.7:
        raw.reshape(-1, CHANNELS[colour_type])[:, -1] = 255
    if filters is None:
        filters = rng.integers(0, 5, height)
    data = zlib.compress(filtered_rows(raw.tobytes(), height, max(bits // 8, 1), filters), level)
    palette = chunk(b"PLTE", rng.bytes(3 * 2**depth)) if colour_type == 3 else b""
    edges = [len(data) * i // split for i in range(split + 1)]
    image_data = b"".join(chunk(b"IDAT", data[a:b]) for a, b in itertools.pairwise(edges))
    start = b"\x89PNG\r\n\x1a\n" + header(width, height, depth, colour_type)
    return start + palette + before + image_data + after + chunk(b"IEND", b"")


def by_pillow(data: bytes, monkeypatch_context):
    with monkeypatch_context() as patch:
        patch.setattr(decode_module, "open_png", lambda _data: None)
        return outcome(data)


def outcome(data: bytes, **options):
    """What `decode` makes of a file: kind and stored values, or the kind of error."""
    try:
        decoded = decode(data, ".png", **options)
    except MaskFileError as error:
        return error.kind, error.detail
    return decoded.kind, decoded.values, decoded.codes.tolist()


@pytest.fixture
def assert_as_pillow(monkeypatch):
    def compare(data: bytes) -> None:
        assert outcome(data) == by_pillow(data, monkeypatch.context)

    return compare


def is_read_here(data: bytes) -> bool:
    opened = open_png(data)
    return opened is not None and samples(opened) is not None


@kinds
@pytest.mark.parametrize("kind_of_filter", range(5))
def test_every_kind_and_filter_as_pillow(assert_as_pillow, colour_type, depth, kind_of_filter):
    rng = np.random.default_rng(7)
    for width, height in ((1, 1), (3, 2), (8, 5), (61, 33), (200, 7)):
        filters = np.full(height, kind_of_filter)
        data = png(rng, colour_type, depth, width, height, filters=filters)
        assert is_read_here(data)
        assert_as_pillow(data)


def pillow(data: bytes) -> np.ndarray:
    """Samples as Pillow has them, unstretched."""
    with Image.open(io.BytesIO(data)) as image:
        array = np.asarray(image)
    grey_depth = data[24] if data[25] == 0 else 8
    return array // {2: 85, 4: 17}.get(grey_depth, 1)


@kinds
@settings(max_examples=40, deadline=None)
@given(width=st.integers(1, 70), height=st.integers(1, 12), level=st.integers(0, 9), seed=st.integers(0, 2**32 - 1))  # fmt: skip
def test_random_files_have_the_samples_that_pillow_reads(colour_type, depth, width, height, level, seed):  # fmt: skip  # noqa: PLR0917
    rng = np.random.default_rng(seed)
    split = int(rng.integers(1, 4))
    data = png(rng, colour_type, depth, width, height, level=level, split=split)
    opened = open_png(data)
    assert opened is not None
    assert opened.size == (height, width)
    np.testing.assert_array_equal(samples(opened), pillow(data))


@pytest.mark.parametrize(("mode", "options"), [("1", {}), ("L", {}), ("P", {"bits": 2}), ("P", {"transparency": 1}), ("P", {"transparency": b"\x00\x80\xff"}), ("L", {"transparency": 3}), ("RGB", {"transparency": (1, 2, 3)}), ("RGB", {"dpi": (300, 300)}), ("LA", {}), ("RGBA", {}), ("I;16", {})])  # fmt: skip
def test_files_that_pillow_writes(assert_as_pillow, mode, options):
    values = np.random.default_rng(3).integers(0, 3, (20, 31), dtype=np.uint8)
    image = Image.fromarray(values.astype(np.uint16)) if mode == "I;16" else Image.fromarray(values)
    if mode == "P":
        image.putpalette(list(range(256)) * 3)
    elif mode != "I;16":
        image = image.convert(mode)
    stream = io.BytesIO()
    image.save(stream, "PNG", **options)
    assert is_read_here(stream.getvalue())
    assert_as_pillow(stream.getvalue())


def usual() -> bytes:
    return png(np.random.default_rng(1), 0, 8, 19, 11)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (b"tEXt", b"Software\0drawn by hand"),
        (b"gAMA", bytes(4)),
        (b"pHYs", bytes(9)),
        (b"tIME", bytes(7)),
    ],
)
@pytest.mark.parametrize("place", ["before", "after"])
def test_harmless_chunks_do_not_slow_a_file_down(assert_as_pillow, name, body, place):
    data = png(np.random.default_rng(1), 0, 8, 19, 11, **{place: chunk(name, body)})
    assert is_read_here(data)
    assert_as_pillow(data)


CHUNKS_FOR_PILLOW = {
    "profile": chunk(b"iCCP", b"x\0\0" + zlib.compress(b"profile")),
    "profile of an unknown method": chunk(b"iCCP", b"x\0\7abc"),
    "compressed text": chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(10))),
    "text that bursts": chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(10**8))),
    "text that switches Pillow to interlaced": chunk(b"tEXt", b"interlace\0yes"),
    "text that moves the image": chunk(b"tEXt", b"bbox\0" + b"0000"),
    "animation": chunk(b"acTL", struct.pack(">II", 2, 0)),
    "short gamma": chunk(b"gAMA", b"\0"),
    "short transparency": chunk(b"tRNS", b"\0"),
    "wrong checksum": chunk(b"tEXt", b"a\0b")[:-1] + b"\0",
    "unknown and critical": chunk(b"ABCD", b"abc"),
    "unknown": chunk(b"abCd", b"abc"),
}


@pytest.mark.filterwarnings("ignore:Invalid APNG")
@pytest.mark.parametrize("name", CHUNKS_FOR_PILLOW)
@pytest.mark.parametrize("place", ["before", "after"])
def test_unusual_chunks_are_for_pillow(assert_as_pillow, name, place):
    data = png(np.random.default_rng(1), 0, 8, 19, 11, **{place: CHUNKS_FOR_PILLOW[name]})
    assert not is_read_here(data)
    assert_as_pillow(data)


def with_stream(stream: bytes, width=19, height=11, depth=8, colour_type=0) -> bytes:
    start = b"\x89PNG\r\n\x1a\n" + header(width, height, depth, colour_type)
    return start + chunk(b"IDAT", stream) + chunk(b"IEND", b"")


RAW = bytes(11 * 20)
FAULTY = {
    "cut in the header": usual()[:20],
    "signature only": usual()[:8],
    "empty": b"",
    "cut in the data": usual()[:-40],
    "no end": usual()[:-12],
    "bytes behind the end": usual() + b"more",
    "no data": with_stream(b""),
    "one byte of data": with_stream(b"x"),
    "data of too few bytes": with_stream(zlib.compress(RAW[:-1])),
    "data of too many bytes": with_stream(zlib.compress(RAW + b"x")),
    "data that burst": with_stream(zlib.compress(bytes(10**8), 9)),
    "wrong Adler-32": with_stream(zlib.compress(RAW)[:-1] + b"\x07"),
    "no Adler-32": with_stream(zlib.compress(RAW)[:-4]),
    "unknown filter": with_stream(zlib.compress(b"\5" + RAW[1:])),
    "more pixels than data": with_stream(zlib.compress(RAW), width=50_000, height=50_000),
    "many pixels, under Pillow's limit": with_stream(zlib.compress(RAW), width=8000, height=8000),
    "no columns": with_stream(zlib.compress(RAW), width=0),
    "no rows": with_stream(zlib.compress(RAW), height=0),
    "the largest numbers": with_stream(zlib.compress(RAW), width=2**32 - 1, height=2**32 - 1),
    "an impossible depth": with_stream(zlib.compress(RAW), depth=3),
    "an impossible colour type": with_stream(zlib.compress(RAW), colour_type=5),
    "colour of 16 bits": png(np.random.default_rng(1), 2, 16, 4, 4),
    "a palette image without palette": with_stream(zlib.compress(RAW), colour_type=3),
    "data in two places": usual()[:-12] + chunk(b"tEXt", b"a\0b") + chunk(b"IDAT", b"") + usual()[-12:],
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", FAULTY)
def test_faulty_files_are_for_pillow(assert_as_pillow, name):
    assert not is_read_here(FAULTY[name])
    assert_as_pillow(FAULTY[name])


def test_a_distance_beyond_the_window_is_for_pillow(assert_as_pillow):
    """zlib refuses it by the header's word; libdeflate reads it."""
    block = np.random.default_rng(0).bytes(1000)
    raw = b"".join(b"\0" + block for _ in range(40))
    small_window = bytearray(zlib.compress(raw, 9))
    small_window[:2] = b"\x08\x1d"  # a window of 256 bytes, and the check bits that go with it
    data = with_stream(bytes(small_window), width=1000, height=40)
    assert not is_read_here(data)
    assert_as_pillow(data)


def test_interlaced_files_are_for_pillow(assert_as_pillow):
    stream = zlib.compress(bytes(64 + 30))
    data = b"\x89PNG\r\n\x1a\n" + header(8, 8, 8, 0, interlace=1) + chunk(b"IDAT", stream)
    data += chunk(b"IEND", b"")
    assert not is_read_here(data)
    assert_as_pillow(data)


def test_a_wrong_size_is_told_before_the_pixels_are_looked_at():
    broken = with_stream(b"x" * 50)
    assert outcome(broken, expected=(12, 19))[0] == "wrong size"
    assert outcome(broken, expected=(11, 19))[0] == "unreadable file"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning", "ignore:Invalid APNG")
@kinds
def test_damaged_files_end_as_with_pillow(assert_as_pillow, colour_type, depth):
    """Bits flipped, bytes cut, doubled or overwritten; half of them with the checksums put right."""
    rng = np.random.default_rng(depth * 10 + colour_type)
    text = chunk(b"tEXt", b"Title\0t") if colour_type else b""
    for _ in range(200):
        data = bytearray(png(rng, colour_type, depth, 9, 6, before=text))
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(8, len(data)))
            match rng.integers(4):
                case 0:
                    data[at] ^= 1 << int(rng.integers(8))
                case 1:
                    data[at] = int(rng.integers(256))
                case 2:
                    del data[at : at + int(rng.integers(1, 5))]
                case _:
                    data[at:at] = data[at : at + int(rng.integers(1, 5))]
        assert_as_pillow(mended(bytes(data)) if rng.random() < 0.5 else bytes(data))


def mended(data: bytes) -> bytes:
    """The same file with right CRCs, as far as it has whole chunks."""
    out, at = data[:8], 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        if at + 12 + size > len(data):
            break
        out += chunk(data[at + 4 : at + 8], data[at + 8 : at + 8 + size])
        at += 12 + size
    return out + data[at:]
