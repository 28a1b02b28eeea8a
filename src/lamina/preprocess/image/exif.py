"""Tags of a TIFF, which is also how EXIF says which way up an image is."""

import struct


def orientation(body: bytes) -> int:
    """The orientation, 1 where it is not said."""
    try:
        turn = dict(tags(body, 0x112)).get(0x112, (1,))[0]
    except (IndexError, struct.error, ValueError):
        return 1
    return turn if 1 <= turn <= 8 else 1


def tags(body: bytes, only: int | None = None) -> list[tuple[int, tuple[int, ...]]]:
    """Tags of whole numbers in the first directory of a TIFF."""
    order = {b"II": "<", b"MM": ">"}.get(body[:2])
    if order is None:
        raise ValueError
    (at,) = struct.unpack_from(order + "I", body, 4)
    (count,) = struct.unpack_from(order + "H", body, at)
    numbers = []
    for i in range(count):
        tag, kind, number = struct.unpack_from(order + "HHI", body, at + 2 + 12 * i)
        form = {1: "B", 3: "H", 4: "I"}.get(kind)
        if form and number and (only is None or tag == only):
            size, spot = struct.calcsize(form) * number, at + 10 + 12 * i
            if size > 4:
                (spot,) = struct.unpack_from(order + "I", body, spot)
            if spot + size > len(body):
                raise IndexError
            numbers.append((tag, struct.unpack_from(f"{order}{number}{form}", body, spot)))
    return numbers
