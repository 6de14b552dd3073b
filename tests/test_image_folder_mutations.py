"""Damaged image files raise DataError and nothing else, whatever byte is wrong; the number of mutations is seeded."""

import io
import random

import numpy as np
import pytest
from PIL import Image, features
from support.fuzz import fuzz_counts
from support.image_folders import RAMP, picture

from hybrid_search.data.image_folder import decode
from hybrid_search.errors import DataError

PHOTO = picture(1, size=32)
WIDE = Image.fromarray((RAMP * 257).astype(np.uint16))
FLOATING = Image.fromarray((RAMP / 255).astype(np.float32))
EXIF = Image.Exif()
EXIF[274] = 6  # turned by 90 degrees
EXIF[36867] = "2020:01:01 00:00:00"

SAVED = {
    "png": (PHOTO, {"format": "PNG"}),
    "palette": (PHOTO.quantize(16), {"format": "PNG", "transparency": 3}),
    "16-bit png": (WIDE, {"format": "PNG"}),
    "jpeg": (PHOTO, {"format": "JPEG", "exif": EXIF}),
    "progressive": (PHOTO, {"format": "JPEG", "progressive": True}),
    "tiff": (PHOTO, {"format": "TIFF", "exif": EXIF}),
    "packed tiff": (PHOTO, {"format": "TIFF", "compression": "tiff_lzw"}),
    "16-bit tiff": (WIDE, {"format": "TIFF"}),
    "float tiff": (FLOATING, {"format": "TIFF"}),
    "gif": (PHOTO, {"format": "GIF", "save_all": True, "append_images": [picture(2, size=32)]}),
    "webp": (PHOTO, {"format": "WEBP"}),
    "bmp": (PHOTO, {"format": "BMP"}),
    "ppm": (PHOTO, {"format": "PPM"}),
    **({"avif": (PHOTO, {"format": "AVIF"})} if features.check("avif") else {}),
    **({"jpeg 2000": (PHOTO, {"format": "JPEG2000"})} if features.check("jpg_2000") else {}),
}


def mutated(content, rng):
    """Return a file with some bytes changed, removed or repeated, most of them near its beginning."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(min(len(changed), rng.choice((32, 256, len(changed)))))
        kind = rng.randrange(4)
        if kind == 0:
            changed[at] = rng.choice((0, 1, 255, rng.randrange(256)))
        elif kind == 1:
            del changed[at + 1 :]
        elif kind == 2:
            changed[at:at] = changed[at : at + rng.randrange(1, 9)]
        else:
            del changed[at : at + rng.randrange(1, 9)]
        if not changed:
            break
    return bytes(changed)


@pytest.mark.parametrize("count", fuzz_counts(60, full=2_000))
@pytest.mark.parametrize("kind", list(SAVED))
def test_a_mutated_image_is_decoded_or_refused_by_name(tmp_path, kind, count):
    image, options = SAVED[kind]
    buffer = io.BytesIO()
    image.save(buffer, **options)
    path, rng, refused = tmp_path / "mutated.png", random.Random(kind), []
    path.write_bytes(buffer.getvalue())
    assert decode(path, 8).shape == (3, 8, 8)
    for _ in range(count):
        path.write_bytes(mutated(buffer.getvalue(), rng))
        try:
            pixels = decode(path, 8, max_pixels=1_000_000)
        except DataError as error:
            refused.append(str(error))
        else:
            assert pixels.shape == (3, 8, 8)
            assert pixels.dtype == np.uint8
    assert len(refused) > count / 20
    assert all("mutated.png" in message and "\n" not in message for message in refused)
