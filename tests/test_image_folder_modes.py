"""Every mode of an image file becomes the right 8-bit values, or is refused by file name and mode."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps, features
from support.image_folders import RAMP, picture, settings_of, write_folder

from hybrid_search import data
from hybrid_search.data import load, prepare
from hybrid_search.data.image_folder import decode, decoding
from hybrid_search.errors import DataError

GREY = RAMP.astype(np.uint8)
SIXTEEN = (RAMP * 257).astype(np.uint16)


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data.clear_cache()


def saved(folder, name, array_or_image, **options):
    image = array_or_image if isinstance(array_or_image, Image.Image) else Image.fromarray(array_or_image)
    path = Path(folder, name)
    image.save(path, **options)
    return path


def grey_of(path):
    """Return the decoded ramp at its own size; its three channels are equal."""
    pixels = decode(path, 64)
    assert (pixels[0] == pixels[1]).all()
    assert (pixels[0] == pixels[2]).all()
    return pixels[0]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("16.png", SIXTEEN),
        ("16.tif", SIXTEEN),
        ("big-endian.tif", SIXTEEN.astype(">u2")),
        ("16.pgm", SIXTEEN),
        ("low-byte.png", (RAMP << 8).astype(np.uint16) + 77),
        ("32.tif", (RAMP * 257).astype(np.int32)),
        ("bytes-in-32-bits.tif", RAMP.astype(np.int32)),
        ("12-bit-camera.tif", (RAMP * 16 + 15).astype(np.uint16)),
        ("12-bit-camera.png", (RAMP * 16).astype(np.uint16)),
        ("10-bit.tif", (RAMP * 4).astype(np.uint16)),
        ("14-bit.tif", (RAMP * 64 + 63).astype(np.uint16)),
        ("float-1.tif", (RAMP / 255).astype(np.float32)),
        ("float-255.tif", RAMP.astype(np.float32)),
        ("float-65535.tif", (RAMP * 257).astype(np.float32)),
        ("float-12-bit.tif", np.rint(RAMP * 4095 / 255).astype(np.float32)),
        ("float-just-above-1.tif", (RAMP / 255 * (1 + 5e-7)).astype(np.float32)),
    ],
)
def test_a_ramp_of_more_than_eight_bits_becomes_the_ramp_of_eight_bits(tmp_path, name, values):
    assert np.array_equal(grey_of(saved(tmp_path, name, values)), GREY)


@pytest.mark.skipif(not features.check("jpg_2000"), reason="needs Pillow with JPEG 2000")
def test_a_jpeg_2000_of_16_bits_becomes_the_ramp(tmp_path):
    assert np.array_equal(grey_of(saved(tmp_path, "16.jp2", SIXTEEN, irreversible=False)), GREY)


def with_photometric(path, value):
    """Change the TIFF tag that says whether 0 is white (0) or black (1)."""
    raw = bytearray(path.read_bytes())
    assert raw[:2] == b"II"
    directory = int.from_bytes(raw[4:8], "little")
    for entry in range(
        directory + 2, directory + 2 + 12 * int.from_bytes(raw[directory : directory + 2], "little"), 12
    ):
        if int.from_bytes(raw[entry : entry + 2], "little") == 262:
            raw[entry + 8] = value
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize("values", [65535 - SIXTEEN, (1 - RAMP / 255).astype(np.float32)], ids=["I;16", "F"])
def test_a_tiff_in_which_0_is_white_is_inverted(tmp_path, values):
    path = with_photometric(saved(tmp_path, "white-is-zero.tif", values), 0)
    assert np.array_equal(grey_of(path), GREY)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("signed.tif", (RAMP - 9).astype(np.int32), r"signed\.tif has mode I with values from -9 to 246"),
        ("large.tif", (RAMP * 99_999).astype(np.int32), r"large\.tif has mode I with values from 0 to 2.54997e\+07"),
        ("centred.tif", (RAMP / 255 - 0.5).astype(np.float32), r"centred\.tif has mode F with values from -0.5 to 0.5"),
        ("nan.tif", np.where(RAMP > 9, np.nan, 0.5).astype(np.float32), r"nan\.tif has mode F with values from nan"),
        ("to-5.tif", (RAMP / 255 * 5.5).astype(np.float32), r"0 to 255; .*to-5\.tif \(mode F\) has values up to 5.5"),
        ("to-300.tif", (RAMP / 255 * 300.5).astype(np.float32), r"to-300\.tif \(mode F\) has values up to 300.5"),
        ("inf.tif", np.where(RAMP > 9, np.inf, 0.5).astype(np.float32), r"inf\.tif has mode F .* to inf"),
    ],
)
def test_values_that_are_no_picture_are_refused_by_file_and_mode(tmp_path, name, values, message):
    with pytest.raises(DataError, match=message):
        decode(saved(tmp_path, name, values), 8)


def write_tiff(path, values, sample_format):
    """Write an uncompressed little-endian TIFF file of any type of values."""
    rows, cols, channels = values.shape
    raw, count = values.tobytes(), 10
    tags = [(256, cols), (257, rows), (258, values.itemsize * 8), (259, 1), (262, 1 if channels == 1 else 2)]
    tags += [(273, 14 + 12 * count), (277, channels), (278, rows), (279, len(raw)), (339, sample_format)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, count) + entries + bytes(4) + raw)
    return path


@pytest.mark.parametrize(
    ("values", "sample_format", "message"),
    [
        (np.ones((8, 8, 3), np.float32), 3, "3 channels of 32 bits, floating point"),
        (np.ones((8, 8, 1), np.float64), 3, "1 channels of 64 bits, floating point"),
        (np.ones((8, 8, 1), np.complex64), 6, "1 channels of 64 bits, complex numbers"),
        (np.full((8, 8, 1), -3, np.int8), 2, r"must have values from 0 up; got signed values \(mode L\)"),
        (np.full((8, 8, 1), -3, np.int16), 2, "has mode I with values from -3 to -3"),
    ],
)
def test_a_tiff_of_other_values_is_refused_by_file_and_kind(tmp_path, values, sample_format, message):
    with pytest.raises(DataError, match=rf"image .*odd\.tif .*{message}"):
        decode(write_tiff(tmp_path / "odd.tif", values, sample_format), 8)


def test_a_file_that_other_programs_would_decode_is_refused(tmp_path):
    path = tmp_path / "drawing.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    with pytest.raises(DataError, match=r"drawing\.png cannot be decoded: it is a text file, not an image"):
        decode(path, 8)


def test_lab_is_refused_by_file_and_mode(tmp_path):
    with pytest.raises(DataError, match=r"image .*lab\.tif must have grey or RGB values; got mode LAB"):
        decode(saved(tmp_path, "lab.tif", Image.new("LAB", (8, 8), (200, 9, 9))), 8)


def ordinary(path, size):
    """Return what image folders have always held for an opaque 8-bit image."""
    with Image.open(path) as image:
        image.draft("RGB", (size, size))
        rgb = ImageOps.exif_transpose(image).convert("RGBA").convert("RGB")
        return np.asarray(ImageOps.fit(rgb, (size, size), Image.Resampling.BILINEAR)).transpose(2, 0, 1)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("rgb.png", "RGB"), ("rgb.bmp", "RGB"), ("rgb.jpg", "RGB"), ("rgb.jfif", "RGB"), ("rgb.webp", "RGB"),
        ("grey.png", "L"), ("grey.pgm", "L"), ("grey.jpg", "L"), ("bits.png", "1"), ("bits.tif", "1"),
        ("bits.pbm", "1"), ("palette.png", "P"), ("palette.gif", "P"), ("opaque.png", "RGBA"),
        ("opaque-grey.png", "LA"),        ("print.jpg", "CMYK"), ("print.tif", "CMYK"), ("video.tif", "YCbCr"),
    ],
)  # fmt: skip
def test_an_opaque_eight_bit_image_has_the_same_bytes_as_ever(tmp_path, name, mode):
    path = saved(tmp_path, name, picture(3, size=70).resize((90, 70)).convert(mode))
    assert np.array_equal(decode(path, 24), ordinary(path, 24))
    assert len(np.unique(decode(path, 24))) > 10


def test_colour_images_keep_their_colours_in_every_mode(tmp_path):
    red = Image.new("RGB", (8, 8), (250, 10, 20))
    saved(tmp_path, "p.png", red.quantize(4))
    assert tuple(decode(tmp_path / "p.png", 8)[:, 0, 0]) == (250, 10, 20)
    for name, mode in (("c.tif", "CMYK"), ("y.tif", "YCbCr"), ("a.png", "RGBA")):
        pixels = decode(saved(tmp_path, name, red.convert(mode)), 8)
        assert np.abs(pixels[:, 0, 0].astype(int) - (250, 10, 20)).max() <= 3, mode


def test_what_is_transparent_becomes_white_and_a_white_form_stays_visible(tmp_path):
    form = np.zeros((8, 8), np.uint8)
    form[:, :4] = 255
    for name, colour, ground in (("black.png", 0, 255), ("white.png", 255, 0)):
        rgba = np.dstack([np.full((8, 8, 3), colour, np.uint8), form])
        assert np.array_equal(decode(saved(tmp_path, name, rgba), 8)[0], np.where(form, colour, ground)), name
    palette = Image.fromarray(np.where(form, 1, 0).astype(np.uint8), "L").convert("P")
    palette.putpalette([0, 0, 0, 200, 30, 40])
    for name, transparency in (("index.png", 0), ("bytes.png", b"\x00\xff"), ("index.gif", 0)):
        pixels = decode(saved(tmp_path, name, palette, transparency=transparency), 8)
        assert tuple(pixels[:, 0, 0]) == (200, 30, 40), name
        assert tuple(pixels[:, 0, 7]) == (255, 255, 255), name
    grey = Image.fromarray(np.dstack([np.full((8, 8), 90, np.uint8), form]), "LA")
    assert np.array_equal(decode(saved(tmp_path, "la.png", grey), 8)[1], np.where(form, 90, 255))


@pytest.mark.parametrize("values", [SIXTEEN, SIXTEEN.astype(">u2"), (RAMP / 255).astype(np.float32)])
def test_an_image_of_more_than_eight_bits_is_turned_upright_as_its_camera_says(tmp_path, values):
    exif = Image.Exif()
    exif[274] = 6  # the camera was turned by 90 degrees
    turned = grey_of(saved(tmp_path, "turned.tif", values, exif=exif))
    assert np.array_equal(turned, np.rot90(GREY, -1))


def test_an_alpha_channel_of_zeros_is_no_transparency(tmp_path):
    photo = picture(4)
    photo.putalpha(0)
    opaque = decode(saved(tmp_path, "opaque.png", photo.convert("RGB")), 8)
    assert np.array_equal(decode(saved(tmp_path, "bitmap.png", photo), 8), opaque)


def test_the_first_frame_of_several_is_used_and_said(tmp_path):
    settings = write_folder(tmp_path / "photos")
    frames = [picture(seed, size=16) for seed in range(3)]
    for name in ("a.gif", "a.tif"):
        saved(tmp_path / "photos" / "train" / "cat", name, frames[0], save_all=True, append_images=frames[1:])
    assert np.array_equal(
        decode(tmp_path / "photos/train/cat/a.tif", 8), decode(saved(tmp_path, "one.tif", frames[0]), 8)
    )
    said = []
    notes = prepare(settings, said.append)
    assert notes == ("images with several frames, of which the first is used: 2",)
    assert said == []


def test_one_range_of_values_is_chosen_for_all_images_of_a_mode(tmp_path):
    settings = write_folder(tmp_path / "photos", ("train", "val"))
    for split, scale in (("train", 16), ("val", 1)):  # the images of val alone would look like 8-bit ones
        for name, ramp in (("cat", RAMP), ("dog", RAMP.T)):
            saved(tmp_path / "photos" / split / name, "z.png", (ramp * scale).astype(np.uint16))
    dark = load(settings).validation.images[8]
    assert load(settings).train.images.max() > 200  # other images have values up to 180
    assert dark.max() <= 15
    assert prepare(settings, print) == ("16-bit images, read with values from 0 to 4095, which become 0 to 255: 4",)


def test_floating_point_images_of_two_ranges_are_refused(tmp_path):
    settings = write_folder(tmp_path / "photos")
    for name, top in (("unit.tif", 1), ("bytes.tif", 255)):
        saved(tmp_path / "photos" / "train" / "cat", name, (RAMP / 255 * top).astype(np.float32))
    with pytest.raises(
        DataError,
        match=r"^floating-point images must have one range of values; .*unit\.tif \(mode F\) .* up to 1, .*bytes",
    ):
        prepare(settings, print)


def test_a_black_floating_point_image_fits_every_range(tmp_path):
    settings = write_folder(tmp_path / "photos")
    for name, values in (("black.tif", RAMP > 99), ("ramp.tif", RAMP)):  # 0 and 1 are black among values to 255
        saved(tmp_path / "photos" / "train" / "cat", name, values.astype(np.float32))
    (note,) = prepare(settings, print)
    assert note == "images of floating-point numbers, read with values from 0 to 255, which become 0 to 255: 2"


def test_the_ranges_of_a_data_set_are_found_once(tmp_path, monkeypatch):
    settings = write_folder(tmp_path / "photos")
    saved(tmp_path / "photos" / "train" / "cat", "12.png", (RAMP * 16).astype(np.uint16))
    before = prepare(settings, print)
    assert len(before) == 1
    data.clear_cache()
    monkeypatch.setattr(decoding, "survey_image", None)  # calling it again would fail
    assert prepare(settings, print) == before
    assert "EPS" not in decoding._formats()
    assert "PNG" in decoding._formats()


def test_the_settings_of_pillow_in_this_process_have_no_effect_and_are_kept(tmp_path, monkeypatch):
    path = saved(tmp_path, "a.png", picture(1, size=20))
    before = decode(path, 8)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert np.array_equal(decode(path, 8), before)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"a\.png .*cannot be decoded"):
        decode(path, 8)
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES) == (3, True)


def test_an_image_beyond_the_limit_of_pixels_names_the_setting(tmp_path):
    settings = write_folder(tmp_path / "photos")
    saved(tmp_path / "photos" / "train" / "cat", "large.png", Image.new("1", (500, 400)))
    small = settings.with_(max_image_pixels=150_000)
    with pytest.raises(DataError, match=r"large\.png must have at most 150,000 pixels; got 500 x 400\. max_image_p"):
        prepare(small, print)
    assert prepare(small.with_(max_image_pixels=200_000), print) == ()
    assert small.digest == settings.digest  # the limit changes no number


@pytest.mark.slow
def test_an_image_beyond_the_limit_of_pillow_is_read_with_a_larger_limit(tmp_path):
    path = saved(tmp_path, "huge.png", Image.new("1", (15_000, 12_000), 1))
    with pytest.raises(DataError, match="must have at most 178,956,970 pixels; got 15,000 x 12,000"):
        decode(path, 8)
    assert decode(path, 8, 180_000_000).min() == 255


def test_settings_of_image_folders_are_refused_with_other_data(tmp_path):
    for name, value in (("ignore_test", True), ("max_image_pixels", 9)):
        with pytest.raises(DataError, match=f"{name} is a setting of the data sets .*imagefolder.*; got {value}"):
            load(settings_of(tmp_path).with_(data="digits", data_dir=None, **{name: value}))
