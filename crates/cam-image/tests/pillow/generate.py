"""Pictures resized by Pillow 11.3, which ours are compared with: python3 generate.py, in this folder.

Up to Pillow 12 a picture is resized across first and down then, as here; Pillow 13 takes the cheaper order, which moves the clipped
overshoot of a bicubic edge.
"""

import numpy as np
from PIL import Image
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

rng = np.random.default_rng(1)
photo = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8)).resize((61, 43), Image.NEAREST)
photo.save("photo.png")
for name in ["bilinear", "bicubic", "lanczos", "nearest", "box", "hamming"]:
    mode = InterpolationMode(name)
    for height, width in [(32, 32), (20, 90)]:
        Resize((height, width), mode)(photo).save(f"squash_{name}_{height}x{width}.png")
    CenterCrop(28)(Resize(32, mode)(photo)).save(f"crop_{name}_28.png")
