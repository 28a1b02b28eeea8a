"""Bad and odd images: each is decoded to the pixels it stands for, or skipped with its name and its reason.

All stand together in one folder of classes among good ones, and come in through the door that everybody uses. Most show
one scene: red, green, blue and white quarters, 16 pixels high and 24 wide.
"""

import io
import json
import os
import re
import resource
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import warm_python
from conftest import experiment_of
from lamina import preprocess
from lamina.config import DataError
from lamina.data import arrays, folders
from lamina.preprocess import image
from lamina.preprocess.image import codec
from lamina.recipe import build

cv2 = pytest.importorskip("cv2", reason="needs lamina[images]")
Image = pytest.importorskip("PIL.Image", reason="the odd images are made with Pillow")

HEIGHT, WIDTH = 16, 24
SCENE = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
SCENE[:8, :12], SCENE[:8, 12:], SCENE[8:, :12] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
GREY = cv2.cvtColor(SCENE, cv2.COLOR_RGB2GRAY)
RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
HUGE = 50_000


def pil(pixels: np.ndarray | None = None, form: str = "PNG", mode: str | None = None, **settings) -> bytes:
    """The scene (or other pixels) in a format and mode of Pillow."""
    result = Image.fromarray(SCENE if pixels is None else pixels)
    out = io.BytesIO()
    (result.convert(mode) if mode else result).save(out, form, **settings)
    return out.getvalue()


def cv(pixels: np.ndarray, suffix: str, flags: tuple[int, ...] = ()) -> bytes:
    """Pixels, blue first, in a format of OpenCV."""
    return cv2.imencode(suffix, pixels, flags)[1].tobytes()


def turned(form: str, orientation: int, pixels: np.ndarray | None = None, **settings) -> bytes:
    """An image stored lying on a side, with the mark that says how to turn it."""
    undo = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud}
    undo |= {5: lambda a: a.swapaxes(0, 1), 6: lambda a: np.rot90(a, 1), 8: lambda a: np.rot90(a, -1)}
    undo[7] = lambda a: np.rot90(a, 2).swapaxes(0, 1)
    exif = Image.Exif()
    exif[274] = orientation
    stored = np.ascontiguousarray(undo[orientation](SCENE if pixels is None else pixels))
    return pil(stored, form, exif=exif, **settings)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, body: bytes, *more: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"".join([b"\x89PNG\r\n\x1a\n", head, *more, chunk(b"IDAT", body), chunk(b"IEND", b"")])


def rows_of(pixels: np.ndarray) -> bytes:
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))


def patched(body: bytes, at: int, new: bytes) -> bytes:
    return body[:at] + new + body[at + len(new) :]


def jpeg_of(width: int, height: int) -> bytes:
    body = pil(form="JPEG")
    at = body.index(b"\xff\xc0")
    return patched(body, at + 5, struct.pack(">HH", height, width))


def tiff_of(width: int, height: int) -> bytes:
    body = bytearray(pil(form="TIFF"))
    at = struct.unpack_from("<I", body, 4)[0]
    for i in range(struct.unpack_from("<H", body, at)[0]):
        spot = at + 2 + 12 * i
        tag = struct.unpack_from("<H", body, spot)[0]
        if tag in (256, 257):
            struct.pack_into("<HHII", body, spot, tag, 4, 1, width if tag == 256 else height)
    return bytes(body)


def bmp_of(width: int, height: int) -> bytes:
    return patched(pil(form="BMP"), 18, struct.pack("<ii", width, height))


def jp2_of(width: int, height: int) -> bytes:
    body = pil(form="JPEG2000")
    at = body.index(b"\xff\x4f\xff\x51")
    return patched(body, at + 8, struct.pack(">II", width, height))


def avif_of(width: int, height: int) -> bytes:
    body = pil(form="AVIF")
    return patched(body, body.index(b"ispe") + 8, struct.pack(">II", width, height))


def webp_of(width: int, height: int) -> bytes:
    body = turned("WEBP", 1)
    assert body[12:16] == b"VP8X"
    return patched(body, 24, (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"))


def half(body: bytes) -> bytes:
    return body[: len(body) // 2]


def with_alpha(alpha: int) -> np.ndarray:
    return np.dstack([SCENE, np.full((HEIGHT, WIDTH), alpha, np.uint8)])


DEEP = SCENE.astype(np.uint16) * 257
OTHER = Image.fromarray(255 - SCENE)
PALE = np.rint(SCENE * 0.5 + 127.5).astype(np.uint8)  # the scene half transparent, on white

# Name: the bytes, and the pixels expected (or a pair of pixels and how far off they may be).
ODD: dict[str, tuple[bytes, np.ndarray | tuple[np.ndarray, int]]] = {
    **{f"jpeg-turned-{n}.jpg": (turned("JPEG", n, quality=95, subsampling=0), (SCENE, 40)) for n in range(1, 9)},
    **{f"png-turned-{n}.png": (turned("PNG", n), SCENE) for n in (2, 6, 7)},
    **{f"webp-turned-{n}.webp": (turned("WEBP", n, lossless=True), SCENE) for n in (3, 5, 8)},
    **{f"tiff-turned-{n}.tif": (turned("TIFF", n), SCENE) for n in (4, 6)},
    **{
        f"avif-turned-{n}.avif": (turned("AVIF", n, quality=100, subsampling="4:4:4"), (SCENE, 12)) for n in range(1, 9)
    },
    "transparent.png": (pil(with_alpha(0)), np.full_like(SCENE, 255)),
    "half-transparent.png": (pil(with_alpha(128)), (PALE, 1)),
    "half-transparent.webp": (pil(with_alpha(128), "WEBP", lossless=True), (PALE, 1)),
    "grey.png": (pil(GREY), GREY),
    "grey-and-alpha.png": (pil(mode="LA"), (GREY, 1)),
    "grey.jpg": (pil(GREY, "JPEG", quality=95), (GREY, 6)),
    "palette.png": (pil(mode="P"), SCENE),
    "palette-transparent.png": (pil(mode="P", transparency=bytes([255] * 255)), SCENE),
    "one-bit.png": (pil(GREY, mode="1", bits=1), None),
    "sixteen-bit-grey.png": (cv(GREY.astype(np.uint16) * 257, ".png"), GREY),
    "sixteen-bit.png": (cv(DEEP[:, :, ::-1], ".png"), SCENE),
    "sixteen-bit.tif": (cv(DEEP[:, :, ::-1], ".tif"), SCENE),
    "float.tif": (cv((GREY / 255).astype(np.float32), ".tiff"), (GREY, 1)),
    "radiance.hdr": (cv((SCENE[:, :, ::-1] / 255).astype(np.float32), ".hdr"), (SCENE, 1)),
    "twelve-bit.pgm": (
        b"P5\n# of 12 bits\n24 16\n4095\n" + (GREY.astype(np.uint16) * 16).astype(">u2").tobytes(),
        (GREY, 2),
    ),
    "ten-bit.avif": (cv(SCENE[:, :, ::-1].astype(np.uint16) * 4, ".avif", (cv2.IMWRITE_AVIF_DEPTH, 10)), (SCENE, 12)),
    "cmyk.jpg": (pil(mode="CMYK", form="JPEG", quality=95), (SCENE, 40)),
    "progressive.jpg": (pil(form="JPEG", progressive=True, quality=95, subsampling=0), (SCENE, 40)),
    "film-behind.jpg": (pil(form="JPEG", quality=95, subsampling=0) + b"\0\0\0\x18ftypmp42" + bytes(9000), (SCENE, 40)),
    "stray-bytes.jpg": (
        pil(form="JPEG", quality=95, subsampling=0).replace(b"\xff\xc4", bytes(33) + b"\xff\xc4", 1),
        (SCENE, 40),
    ),
    "animation.gif": (pil(form="GIF", save_all=True, append_images=[OTHER], duration=50), SCENE),
    "animation.webp": (pil(form="WEBP", save_all=True, append_images=[OTHER], lossless=True), SCENE),
    "animation.png": (pil(save_all=True, append_images=[OTHER]), SCENE),
    "pages.tif": (pil(form="TIFF", save_all=True, append_images=[OTHER]), SCENE),
    "packed.tif": (pil(form="TIFF", compression="tiff_lzw"), SCENE),
    "ascii.ppm": (b"P3\n24 16\n255\n" + b"\n".join(b"%d" % v for v in SCENE.ravel()) + b"\n", SCENE),
    "any.pam": (
        b"P7\nWIDTH 24\nHEIGHT 16\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n" + SCENE.tobytes(),
        SCENE,
    ),
    "floats.pfm": (b"Pf\n24 16\n-1.0\n" + (GREY[::-1] / 255).astype("<f4").tobytes(), (GREY, 1)),
    "floats-in-colour.pfm": (b"PF\n24 16\n1.0\n" + (SCENE[::-1] / 255).astype(">f4").tobytes(), SCENE),
    "bottom-up.bmp": (pil(form="BMP"), SCENE),
    "jpeg-2000.jp2": (pil(form="JPEG2000"), SCENE),
    "one-pixel.png": (pil(np.full((1, 1, 3), 9, np.uint8)), np.full_like(SCENE, 9)),
    "one-line.png": (pil(np.full((1, 5000, 3), 7, np.uint8)), np.full_like(SCENE, 7)),
    "a-png-in-truth.jpg": (pil(), SCENE),
    "a-jpeg-in-truth.png": (pil(form="JPEG", quality=95, subsampling=0), (SCENE, 40)),
    "text-bomb.png": (
        png(WIDTH, HEIGHT, rows_of(SCENE), chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100_000_000)))),
        SCENE,
    ),
    "profile-bomb.png": (
        png(WIDTH, HEIGHT, rows_of(SCENE), chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(100_000_000)))),
        SCENE,
    ),
}

# Name: the bytes, and what the reason must say.
BAD: dict[str, tuple[bytes, str]] = {
    "empty.png": (b"", "the file is empty"),
    "cut.jpg": (half(pil(NOISE, "JPEG")), "is cut short"),
    "no-end.jpg": (pil(NOISE, "JPEG")[:-2], "is cut short"),
    "header-only.jpg": (pil(NOISE, "JPEG")[:40], "is cut short"),
    "cut.png": (half(pil(NOISE)), "is cut short"),
    "no-end.png": (pil(NOISE)[:-12], "is cut short"),
    "bad-sum.png": (patched(pil(NOISE), 200, b"\0\1\2\3\4\5\6\7"), "cannot be decoded as PNG"),
    "bad-pixels.png": (png(WIDTH, HEIGHT, b"not packed at all"), "cannot be decoded as PNG"),
    "cut.gif": (half(pil(NOISE, "GIF")), "is cut short"),
    "cut.webp": (half(pil(NOISE, "WEBP")), "is cut short"),
    "cut.tif": (half(pil(NOISE, "TIFF")), "is cut short"),
    "cut-packed.tif": (half(pil(NOISE, "TIFF", compression="tiff_lzw")), "is cut short"),
    "cut.bmp": (half(pil(NOISE, "BMP")), "is cut short"),
    "cut.ppm": (half(pil(NOISE, "PPM")), "is cut short"),
    "cut-ascii.ppm": (b"P3\n24 16\n255\n1 2 3\n", "cut short"),
    "cut.pam": (half(cv(NOISE, ".pam")), "is cut short"),
    "cut.jp2": (half(pil(NOISE, "JPEG2000")), "cut short"),
    "cut.avif": (half(pil(NOISE, "AVIF")), "cut short"),
    "cut.hdr": (half(cv(NOISE.astype(np.float32), ".hdr")), "cut short"),
    "huge.png": (png(HUGE, HUGE, zlib.compress(bytes(10_000_000))), "has 2,500,000,000 pixels, more than 50,000,000"),
    "huge.jpg": (jpeg_of(HUGE, HUGE), "has 2,500,000,000 pixels"),
    "huge.gif": (patched(pil(form="GIF"), 6, struct.pack("<HH", HUGE, HUGE)), "has 2,500,000,000 pixels"),
    "huge.bmp": (bmp_of(HUGE, HUGE), "has 2,500,000,000 pixels"),
    "huge.webp": (webp_of(16_000, 16_000), "has 256,000,000 pixels"),
    "huge.tif": (tiff_of(HUGE, HUGE), "has 2,500,000,000 pixels"),
    "huge.ppm": (b"P6\n%d %d\n255\n" % (HUGE, HUGE) + bytes(1000), "has 2,500,000,000 pixels"),
    "huge.pam": (
        b"P7\nWIDTH 50000\nHEIGHT 50000\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n",
        "has 2,500,000,000 pixels",
    ),
    "huge.jp2": (jp2_of(HUGE, HUGE), "has 2,500,000,000 pixels"),
    "huge.avif": (avif_of(HUGE, HUGE), "has 2,500,000,000 pixels"),
    "huge.pfm": (b"PF\n50000 50000\n-1.0\n" + bytes(1000), "has 2,500,000,000 pixels"),
    "cut.pfm": (b"Pf\n24 16\n-1.0\n" + bytes(24 * 16), "is cut short"),
    "huge.hdr": (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 50000 +X 50000\n", "has 2,500,000,000 pixels"),
    "no-pixels.png": (png(0, 0, b""), "no pixels"),
    "page.jpg": (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "is a web page, not an image"),
    "words.jpg": (b"this is only a text and no image", "is text, not an image"),
    "drawing.png": (
        b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
        "is an SVG drawing, which is not",
    ),
    "phone.jpg": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "is a HEIC image, which is not read: convert"),
    "film.jpg": (b"\0\0\0\x18ftypisom\0\0\0\0isommp41" + bytes(99), "is a video, not an image"),
    "pointer.png": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "is a Git LFS pointer"),
    "zeros.png": (bytes(5000), "is not an image of a known format"),
    "sound.webp": (b"RIFF\x24\0\0\0WAVEfmt " + bytes(40), "is not an image of a known format"),
    "notes.txt": (b"red, green, blue", "is not an image by its name"),
    "photo.heic": (b"\0\0\0\x18ftypheic", "is a HEIC file, which is not read: convert it"),
}
REASON = re.compile(r"[ -~]{5,200}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two classes: thirty good images each, and all the odd and bad ones."""
    root = tmp_path_factory.mktemp("pictures")
    for label in ("plain", "strange"):
        (root / label).mkdir()
        for i in range(30):
            body = pil(RNG.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))
            (root / label / f"good{i}.png").write_bytes(body)
    for name, (body, _) in {**ODD, **BAD}.items():
        (root / "strange" / name).write_bytes(body)
    (root / "strange" / "a-folder.png").mkdir()
    (root / "strange" / "leads-nowhere.png").symlink_to(root / "gone.png")
    for clutter in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (root / "plain" / clutter).write_bytes(b"left behind")
    return root


@pytest.fixture(scope="module")
def experiment(folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAMINA_CACHE", str(tmp_path_factory.mktemp("cache")))
        columns = {"image": {"kind": "image", "size": [HEIGHT, WIDTH], "channels": 3, "fit": "stretch"}}
        yield experiment_of(build({"data": str(folder), "columns": columns}))


@pytest.fixture(scope="module")
def pixels(experiment) -> dict[str, np.ndarray]:
    """What the network is fed, by the name of the file."""
    prep = preprocess.fit(experiment.splits.train, experiment.schema)
    names = [Path(path).name for part in experiment.splits for path in part["image"].to_pylist()]
    encoded = [prep.encode(part) for part in experiment.splits]
    (images,) = (np.concatenate([part[name] for part in encoded]) for name in prep.inputs)
    return dict(zip(names, images, strict=True))


@pytest.mark.parametrize("name", ODD)
def test_an_odd_image_is_decoded_to_what_it_shows(pixels, name):
    expected = ODD[name][1]
    if expected is None:  # of one bit: only black and white
        assert set(np.unique(pixels[name])) == {0, 255}
        return
    expected, off = expected if isinstance(expected, tuple) else (expected, 0)
    expected = np.repeat(expected[:, :, None], 3, axis=2) if expected.ndim == 2 else expected
    inner = np.abs(pixels[name].astype(int) - expected.astype(int))
    inner = inner if off < 5 else inner[2:6, 2:10]  # a lossy image rings at the edges: the middle of a quarter
    assert inner.max() <= off


@pytest.mark.parametrize("name", BAD)
def test_a_bad_image_is_skipped_with_its_name_and_reason(experiment, name):
    (collected,) = [q for q in experiment.skipped_rows if Path(q.file).name == name]
    assert BAD[name][1] in collected.reason
    assert REASON.fullmatch(collected.reason)
    assert collected.column == "image"


def test_a_folder_and_a_dead_link_named_as_images_are_skipped(experiment):
    reasons = {Path(q.file).name: q.reason for q in experiment.skipped_rows}
    assert reasons["a-folder.png"] == "is an empty folder, not an image"
    assert reasons["leads-nowhere.png"] == "is a link that leads nowhere"


def test_every_file_is_either_used_or_skipped_and_nothing_else_is(experiment, pixels, folder):
    counts = experiment.counts()
    assert counts["read"] == counts["used"] + counts["skipped"] == 60 + len(ODD) + len(BAD) + 2
    assert set(pixels) == {*ODD, *(f"good{i}.png" for i in range(30))}
    assert {Path(q.file).name for q in experiment.skipped_rows} == {*BAD, "a-folder.png", "leads-nowhere.png"}


def test_an_image_that_may_not_be_read_is_skipped(folder, tmp_path):
    file = tmp_path / "secret.png"
    file.write_bytes(pil())
    file.chmod(0)
    values = image.parse(pa.array([str(file)]), image.Config())
    state, user = image.fit(values, image.Config(size=8)), os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read every file
    try:
        (reason,) = image.faults(values, state)
    finally:
        os.seteuid(user)
    assert reason is not None
    assert "secret.png cannot be read (Permission denied)" in reason


def test_a_pipe_named_as_an_image_does_not_stop_the_run(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    values = image.parse(pa.array([str(tmp_path / "pipe.png")]), image.Config())
    assert image.faults(values, image.fit(values, image.Config(size=8))) == ["cannot be read (it is no ordinary file)"]


def test_training_on_the_folder_says_nothing_of_its_own_accord_and_counts_all(folder, tmp_path):
    call = ["-m", "lamina", "train", folder, "--out", tmp_path / "run", "--json"]
    sets = ["--set", "train.epochs=1", "--set", "columns.image={kind: image, size: 16}", "--set", "train.threads=1"]
    done = warm_python.run(*call, *sets, env=os.environ | {"LAMINA_CACHE": str(tmp_path / "cache")})
    assert done.returncode == 0, done.stderr
    for noise in ("libpng", "WARN", "ERROR", "Corrupt JPEG", "TIFF", "openjpeg"):
        assert noise not in done.stderr
    counts = json.loads((tmp_path / "run" / "report.json").read_text())["data"]["rows"]
    assert counts["read"] == counts["used"] + counts["skipped"] == 60 + len(ODD) + len(BAD) + 2


@pytest.mark.parametrize("name", ODD)
def test_an_image_damaged_anywhere_gives_pixels_or_a_reason_and_never_stops_the_run(name):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    body = ODD[name][0]
    for _ in range(30):
        damaged = bytearray(body[: rng.integers(1, len(body) + 1)] if rng.random() < 0.3 else body)
        for spot in rng.integers(0, min(len(damaged), 400), rng.integers(0, 4)):
            damaged[spot] = rng.choice([0, 1, 127, 255, rng.integers(256)])
        result, reason = codec.pixels(bytes(damaged), 100_000)
        assert (result is None) == bool(reason)
        assert result is None or (result.dtype, result.ndim, result.shape[2] in (1, 3)) == (np.uint8, 3, True)


def test_a_large_photograph_decoded_at_part_of_its_size_looks_as_if_decoded_whole():
    down, across = np.mgrid[0:1200, 0:1600]
    waves = np.stack([127 + 100 * np.sin(down / 40 + i) * np.cos(across / 60) for i in range(3)], axis=2)
    body = cv(np.uint8(waves + RNG.normal(0, 8, waves.shape)), ".jpg", (cv2.IMWRITE_JPEG_QUALITY, 90))
    part, _ = codec.pixels(body, 10**7, 150)
    whole, _ = codec.pixels(body, 10**7)
    assert part is not None
    assert whole is not None
    assert (part.shape, whole.shape) == ((150, 200, 3), (1200, 1600, 3))
    size = codec.Size(112, 150, 3, "stretch")
    off = np.abs(codec.fit_to(part, size).astype(int) - codec.fit_to(whole, size))
    assert off.mean() < 1.5


MEASURED = """
import resource, sys
import pyarrow as pa
from lamina.preprocess import image
from lamina.preprocess.image import codec
codec.opencv()
values = image.parse(pa.array(sys.argv[1:]), image.Config(size=8))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
reasons = image.faults(values, image.fit(values, image.Config(size=8)))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, sum(reason is not None for reason in reasons))
"""


def test_bombs_take_no_memory_even_when_opencv_was_imported_first(folder):
    bombs = [str(folder / "strange" / name) for name in [*BAD, *ODD] if "huge" in name or "bomb" in name]
    assert len(bombs) >= 12
    code = f"import cv2\n{MEASURED}"
    done = subprocess.run([sys.executable, "-c", code, *bombs], capture_output=True, text=True, check=True)
    grown, bad = map(int, done.stdout.split())
    assert bad == sum("huge" in name for name in BAD)
    assert grown * (1 if sys.platform == "darwin" else 1024) < 60_000_000
    assert done.stderr == ""


def test_a_bomb_in_a_zip_is_skipped_unread_and_odd_names_are_only_names(tmp_path):
    archive = tmp_path / "pictures.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as opened:
        for i in range(12):
            opened.writestr(f"{'ab'[i % 2]}/{i}.png", pil())
        opened.writestr("/abs/olute.png", pil())
        opened.writestr("../../up.png", pil())
        opened.writestr("__MACOSX/a/._0.png", b"clutter")
        with opened.open("a/bomb.png", "w", force_zip64=True) as member:
            for _ in range(300):
                member.write(bytes(1_000_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    collected = folders.load(folders.Config(path=str(archive)))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    assert [(q.file, q.reason) for q in collected.skipped_rows] == [
        (f"{archive}/a/bomb.png", "unpacks to 300,000,000 bytes, more than 268,435,456")
    ]
    assert collected.table.num_rows == 14
    assert sorted(tmp_path.iterdir()) == [archive]


def test_a_damaged_and_an_encrypted_member_of_a_zip_are_skipped(tmp_path):
    archive = tmp_path / "pictures.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for i in range(4):
            opened.writestr(f"{'ab'[i % 2]}/{i}.png", pil(NOISE))
    body = bytearray(archive.read_bytes())
    body[body.index(b"IDAT") + 50] ^= 255
    second = body.index(b"PK\x01\x02", body.index(b"PK\x01\x02") + 4)
    body[second + 8] |= 1
    archive.write_bytes(body)
    collected = folders.load(folders.Config(path=str(archive)))
    reasons = sorted(q.reason for q in collected.skipped_rows)
    assert reasons == ["is damaged in the archive", "is encrypted"]
    places = folders.source_line(folders.Config(path=str(archive)), range(collected.table.num_rows))
    assert len({file for file, _ in places}) == collected.table.num_rows == 2


def test_a_pil_image_that_is_cut_short_or_closed_is_a_sentence():
    body = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    Image.fromarray(pixels).save(body, "PNG")
    cut, closed = Image.open(io.BytesIO(body.getvalue()[:-200])), Image.open(io.BytesIO(body.getvalue()))
    closed.close()
    for broken in (cut, closed):
        with pytest.raises(DataError, match=r"data.image\[1\]: this PIL image cannot be read"):
            arrays.table({"image": [Image.fromarray(pixels), broken]})
