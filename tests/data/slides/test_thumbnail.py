import numpy as np
from pyramidal_slides import pyramid, waves

from cryotome.data.images import open_image
from cryotome.data.slides import thumbnail
from cryotome.data.slides.thumbnail import read_thumbnail


def test_the_thumbnail_is_the_mean_in_strips_as_whole(tmp_path, monkeypatch):
    pixels = waves(1024, 768)
    image = open_image(pyramid(tmp_path / "s.tiff", pixels))
    whole = read_thumbnail(image, 16)
    assert whole.shape == (48, 64, 3)
    assert np.abs(whole - pixels.reshape(48, 16, 64, 16, 3).mean(axis=(1, 3))).max() <= 2
    monkeypatch.setattr(thumbnail, "PIXELS_AT_ONCE", 8000)
    assert (read_thumbnail(image, 16) == whole).all()
