"""Images: folders, archives and tables that name them, depths, transparency, formats. Cats are dim, dogs are bright.

Where a case is about depth, cats and dogs differ by less than one of the 256 levels that the format has room for.
"""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meaning.corpus import Case, plain

cv2 = pytest.importorskip("cv2", reason="needs lamina[images]")
Image = pytest.importorskip("PIL.Image", reason="some images are written with Pillow")

SIDE, EACH = 8, 12
CLASSES = ("cats", "dogs")
Pixels = Callable[[int, int], np.ndarray]  # number and class (0 or 1) to pixels, blue first


def shades(number: int, which: int) -> np.ndarray:
    """Coloured noise around a dim or a bright grey."""
    rng = np.random.default_rng(number)
    return (rng.integers(0, 60, (SIDE, SIDE, 3)) + 20 + 150 * which).astype(np.uint8)


def deep(low: float, high: float, dtype: Any = np.uint16, channels: int = 1) -> Pixels:
    """Noise in the lower or the upper half of a range."""

    def pixels(number: int, which: int) -> np.ndarray:
        rng = np.random.default_rng(number)
        values = low + (high - low) / 2 * (which + rng.random((SIDE, SIDE, channels)))
        return values.squeeze(2).astype(dtype) if channels == 1 else values.astype(dtype)

    return pixels


def drawing(colour: int, dtype: Any = np.uint8) -> Pixels:
    """A stroke of one grey on a transparent ground, standing or lying; what lies under it is of the same grey."""

    def pixels(number: int, which: int) -> np.ndarray:
        top = np.iinfo(dtype).max
        image = np.zeros((SIDE, SIDE, 4), dtype)
        image[:, :, :3] = colour * (top // 255)
        place = 1 + number % (SIDE - 3)
        image[(slice(None), slice(place, place + 2)) if which else (slice(place, place + 2), slice(None))] += (
            np.array([0, 0, 0, top], dtype)
        )  # fmt: skip
        return image

    return pixels


def encoded(pixels: np.ndarray, suffix: str = ".png") -> bytes:
    ok, body = cv2.imencode(suffix, pixels)
    assert ok
    return body.tobytes()


def by_pillow(pixels: np.ndarray, form: str, mode: str | None = None, **settings: Any) -> bytes:
    """The same by Pillow, for what OpenCV does not write."""
    image, out = Image.fromarray(np.ascontiguousarray(pixels[:, :, ::-1])), io.BytesIO()
    (image.convert(mode) if mode else image).save(out, form, **settings)
    return out.getvalue()


def animation(pixels: np.ndarray) -> bytes:
    later = Image.fromarray(255 - pixels)
    return by_pillow(pixels, "GIF", save_all=True, append_images=[later])


def lying(pixels: np.ndarray) -> bytes:
    """An image stored lying on its side, with the mark that says so."""
    exif = Image.Exif()
    exif[274] = 6
    return by_pillow(np.rot90(pixels, 1), "JPEG", exif=exif, quality=95, subsampling=0)


def halves(number: int, which: int) -> np.ndarray:
    """Bright above, or bright on the left."""
    image = shades(number, 0)
    image[(slice(0, SIDE // 2),) if which else (slice(None), slice(0, SIDE // 2))] += 150
    return image


def write(folder: Path, pixels: Pixels, encode: Callable[[np.ndarray], bytes], suffix: str, count: int = EACH) -> None:
    """Images of the class that the last class in the folder's path says; cats where it says none."""
    which = next((CLASSES.index(p.lower()) for p in reversed(folder.parts) if p.lower() in CLASSES), 0)
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        (folder / f"{i}{suffix}").write_bytes(encode(pixels(2 * i + which, which)))


def folders(
    *names: str, pixels: Pixels = shades, encode: Callable[[np.ndarray], bytes] = encoded, suffix: str = ".png"
) -> Callable[[Path], Path]:
    """A folder with images in each of these folders."""

    def build(folder: Path) -> Path:
        for name in names or CLASSES:
            write(folder / name, pixels, encode, suffix)
        return folder

    return build


def then(build: Callable[[Path], Path], change: Callable[[Path], Any]) -> Callable[[Path], Path]:
    """An input that is changed once it is there."""

    def changed(folder: Path) -> Path:
        path = build(folder)
        change(path)
        return path

    return changed


def of_windows(folder: Path) -> Path:
    """A zip whose names have backslashes."""
    with zipfile.ZipFile(folder / "set.zip", "w") as archive:
        for which, name in enumerate(CLASSES):
            for i in range(EACH):
                member = zipfile.ZipInfo("member")
                member.filename = f"set\\{name}\\{i}.png"
                archive.writestr(member, encoded(shades(2 * i + which, which)))
    return folder / "set.zip"


def table_beside(cell: str, header: str = "image_id") -> Callable[[Path], Path]:
    """A table that names images of the folder `images` beside it; `cell` is made of the class and the number."""

    def build(folder: Path) -> Path:
        lines = [f"{header},label"]
        for name in CLASSES:
            write(folder / "images" / name, shades, encoded, ".png")
        for file in sorted((folder / "images").rglob("*.png")):
            file.rename(folder / "images" / f"{file.parent.name}-{file.name}")
            lines.append(f"{cell.format(name=file.parent.name, i=file.stem)},{file.parent.name}")
        for name in CLASSES:
            (folder / "images" / name).rmdir()
        (folder / "table.csv").write_text("\n".join(lines) + "\n")
        return folder / "table.csv"

    return build


def arrays(low: float, high: float, dtype: Any, channels: int = 1) -> Callable[[Path], Path]:
    """An .npz of numbers other than 0 to 255."""

    def build(folder: Path) -> Path:
        pixels = deep(low, high, dtype, channels)
        x = np.stack([pixels(i, i % 2) for i in range(2 * EACH)])
        np.savez(folder / "set.npz", x=x, y=np.array(CLASSES)[np.arange(2 * EACH) % 2])
        return folder / "set.npz"

    return build


def hot(folder: Path) -> None:
    """A pixel of the largest number there is in larger images, as a broken cell of a sensor gives."""
    for file in folder.rglob("*.png"):
        image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED).repeat(4, 0).repeat(4, 1)
        image[0, 0] = 65535 if file.name in ("0.png", "1.png") else image[0, 0]
        cv2.imwrite(str(file), image)


def clutter(folder: Path) -> None:
    for name in (".DS_Store", "cats/Thumbs.db", "dogs/desktop.ini", "__MACOSX/cats/._1.png", ".cache/cats/1.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"left behind")


def linked(folder: Path) -> None:
    """One of the classes is a link to a folder elsewhere."""
    other = folder.parent / "elsewhere"
    (folder / "dogs").rename(other)
    (folder / "dogs").symlink_to(other)


def sizes(folder: Path) -> None:
    for i, file in enumerate(sorted(folder.rglob("*.png"))):
        image = cv2.imread(str(file))
        cv2.imwrite(str(file), cv2.resize(image, (6 + i % 7, 5 + i % 5), interpolation=cv2.INTER_NEAREST))


def twelve_bits(pixels: np.ndarray) -> bytes:
    return b"P5\n%d %d\n4095\n" % pixels.shape[::-1] + pixels.astype(">u2").tobytes()


def floats(pixels: np.ndarray) -> bytes:
    return b"Pf\n%d %d\n-1.0\n" % pixels.shape[::-1] + pixels[::-1].astype("<f4").tobytes()


CAT = {"prediction": "cats"}
ONE = [{"image": plain(encoded(shades(0, 0)))}, {"image": plain(encoded(shades(1, 1)))}]  # where a folder has more
ALL = 2 * EACH


def deep_case(name: str, pixels: Pixels, *notes: str, suffix: str = ".png", encode: Any = None, **more: Any) -> Case:
    """A folder of deep images, of which each is answered right."""
    write_it = encode or (lambda image: encoded(image, suffix))
    build = folders(pixels=pixels, encode=write_it, suffix=suffix)
    return Case(name, build, used=ALL, kinds={"image": "image"}, notes=notes, answer=CAT, **more)


CASES = [
    # parts
    Case(
        "training_set_and_test_set",
        folders(*(f"{part}/{name}" for part in ("training_set", "test_set") for name in CLASSES)),
        task="classification",
        used=2 * ALL,
        notes=("2 folders are the classes", "test_set is test; training_set is train", "data.parts=false"),
        answer=CAT,
    ),
    Case(
        "folders_in_themselves",
        folders(
            *(f"{part}/{part}/{name}" for part in ("seg_train", "seg_test") for name in CLASSES), "seg_pred/seg_pred"
        ),
        used=2 * ALL,
        aside=EACH,
        notes=("seg_test is test",),
        rows=ONE,
        answer=CAT,
    ),
    Case(
        "evaluation_is_what_judges",
        folders(*(f"{part}/{name}" for part in ("training", "validation", "evaluation") for name in CLASSES)),
        used=3 * ALL,
        notes=("evaluation is test",),
        answer=CAT,
    ),
    Case(
        "words_in_any_case",
        folders(*(f"{part}/{name}" for part in ("TrainImages", "val2017", "holdout-1") for name in CLASSES)),
        used=3 * ALL,
        notes=("TrainImages is train; holdout-1 is test; val2017 is validation",),
        answer=CAT,
    ),
    Case(
        "parts_inside_classes",
        folders(*(f"{name}/{part}" for name in CLASSES for part in ("train", "test"))),
        used=2 * ALL,
        notes=("2 folders are the classes", "say which part"),
        answer=CAT,
    ),
    Case(
        "parts_that_are_classes",
        folders(*(f"{part}/{name}" for part in ("train", "test") for name in CLASSES)),
        sets=("data.parts=false",),
        used=2 * ALL,
        notes=("4 folders are the classes",),
    ),
    Case(
        "classes_with_a_word_of_a_part",
        folders("train_station/cats", "test_tube/dogs"),
        used=ALL,
        notes=("2 folders are the classes",),
        silent=("which part",),
        answer={"prediction": "train_station"},
        rows=ONE,
    ),
    Case(
        "unlabelled_test",
        folders("train/cats", "train/dogs", "test"),
        used=ALL,
        aside=EACH,
        notes=("2 folders are the classes", "stand in no class folder"),
        rows=ONE,
        answer=CAT,
    ),
    Case(
        "unlabelled_test_in_itself",
        folders("train/cats", "train/dogs", "test/test"),
        used=ALL,
        aside=EACH,
        notes=("2 folders are the classes", "stand in no class folder"),
        rows=ONE,
        answer=CAT,
    ),
    # classes
    Case(
        "more_of_a_class",
        folders("cats", "cats/more", "dogs"),
        used=ALL + EACH,
        notes=("2 folders are the classes", "such as cats/more, are of that class"),
        answer=CAT,
    ),
    Case(
        "a_lone_folder_inside",
        folders("cats/batch_1", "dogs"),
        used=ALL,
        notes=("2 folders are the classes", "such as cats/batch_1"),
        answer=CAT,
    ),
    Case(
        "nested_classes",
        folders("pets/cats", "pets/dogs", "wild/wolves"),
        used=ALL + EACH,
        notes=("3 folders are the classes", "data.label=first"),
    ),
    Case(
        "the_first_folder_is_the_class",
        folders("cats/a", "cats/b", "dogs/a", "dogs/b"),
        sets=("data.label=first",),
        used=2 * ALL,
        notes=("2 folders are the classes",),
        answer=CAT,
    ),
    Case(
        "the_last_folder_is_the_class",
        folders("monday/cats", "monday/dogs", "tuesday/cats", "tuesday/dogs"),
        sets=("data.label=last",),
        used=2 * ALL,
        notes=("2 folders are the classes",),
        answer=CAT,
    ),
    Case("what_systems_leave", then(folders(), clutter), used=ALL, notes=("2 folders are the classes",), answer=CAT),
    Case("a_class_behind_a_link", then(folders(), linked), used=ALL, answer=CAT),
    Case("sizes_of_all_sorts", then(folders(), sizes), used=ALL, notes=("6-12 x 5-9 px",), answer=CAT),
    Case(
        "no_class_at_all",
        folders("."),
        error=("Images stand directly in", "a folder named by its class"),
    ),
    # archives and tables
    Case("a_zip_of_windows", of_windows, used=ALL, notes=("2 folders are the classes",), answer=CAT),
    Case(
        "paths_of_windows",
        table_beside("images\\{name}-{i}.png", "file"),
        target="label",
        used=ALL,
        kinds={"file": "image"},
        answer=CAT,
    ),
    Case(
        "paths_of_another_machine",
        table_beside("C:\\data\\images\\{name}-{i}.png", "file"),
        target="label",
        used=ALL,
        kinds={"file": "image"},
        notes=("by the ends of their paths",),
        answer=CAT,
    ),
    Case(
        "names_without_their_folder",
        table_beside("{name}-{i}.png", "file"),
        target="label",
        used=ALL,
        kinds={"file": "image"},
        answer=CAT,
    ),
    Case(
        "names_without_their_ending",
        table_beside("{name}-{i}"),
        target="label",
        used=ALL,
        kinds={"image_id": "image"},
        notes=("without their ending (.png)",),
        answer=CAT,
    ),
    # depth
    deep_case("scans_of_12_bits_in_16", deep(100, 4000), "4095 is white", "columns.image.levels=[0,4095]"),
    deep_case("distances_in_millimetres", deep(400, 900), "is white", "deeper than 8 bits"),
    deep_case("temperatures_in_centikelvin", deep(29000, 29100), "29000 is black", "29099 is white"),
    deep_case("scans_in_colour", deep(100, 190, channels=3), "colour"),
    deep_case("a_photograph_of_16_bits", deep(100, 65000), "0 is black and 65535 is white"),
    deep_case("a_tiff_of_16_bits", deep(100, 180), suffix=".tif"),
    deep_case("a_tiff_of_signed_numbers", deep(-1000, -900, np.int16), "is black", suffix=".tiff"),
    deep_case("a_tiff_of_floats", deep(0.001, 0.003, np.float32), "is white", suffix=".tiff"),
    deep_case("floats_below_zero", deep(-1, 1, np.float32), "is black", suffix=".tiff"),
    deep_case("radiance", deep(0.001, 0.02, np.float32, 3), "is white", suffix=".hdr"),
    deep_case("a_portable_float_map", deep(10, 12, np.float32), "is black", suffix=".pnm", encode=floats),
    deep_case("twelve_bits_that_the_file_says", deep(100, 4000), suffix=".pgm", encode=twelve_bits, silent=("deeper",)),
    Case(
        "broken_cells_of_a_sensor",
        then(folders(pixels=deep(300, 500)), hot),
        used=ALL,
        notes=("is black and 499 is white", "columns.image.levels=[30"),
        answer=CAT,
    ),
    deep_case("levels_that_are_said", deep(300, 500), sets=("columns.image={kind: image, levels: [300, 500]}",)),
    Case(
        "few_levels_are_left",
        folders(pixels=deep(300, 900)),
        sets=("columns.image={kind: image, levels: [0, 65535]}",),
        used=ALL,
        notes=("of 256 levels are left",),
    ),
    Case("arrays_of_12_bits", arrays(1000, 1010, np.uint16), used=ALL, notes=("1000 is black",), answer=CAT),
    Case("arrays_of_small_floats", arrays(0.001, 0.003, np.float32), used=ALL, notes=("is white",), answer=CAT),
    Case("arrays_around_zero", arrays(-1, 1, np.float64, 3), used=ALL, notes=("is black",), answer=CAT),
    Case("arrays_of_whole_numbers", arrays(0, 255, np.int64), used=ALL, silent=("deeper",), answer=CAT),
    # transparency and formats
    deep_case("white_drawings", drawing(255), "transparent places are black", "columns.image.ground=255"),
    deep_case("black_drawings", drawing(0), silent=("transparent",)),
    deep_case("white_drawings_of_16_bits", drawing(255, np.uint16), "transparent places are black"),
    deep_case(
        "drawings_of_both_sorts",
        lambda number, which: drawing(255 * (number // 2 % 2))(number, which),
        "transparent places are grey",
    ),
    deep_case("animations", shades, "the first is read", suffix=".gif", encode=animation),
    deep_case("print_colours", shades, suffix=".jpg", encode=lambda image: by_pillow(image, "JPEG", "CMYK")),
    deep_case("palettes", shades, suffix=".png", encode=lambda image: by_pillow(image, "PNG", "P")),
    deep_case("grey_and_alpha", shades, suffix=".png", encode=lambda image: by_pillow(image, "PNG", "LA")),
    deep_case("turned_by_a_mark", halves, suffix=".jpg", encode=lying),
]
