"""Options that several data sets share: their types and meaning, told once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Path = Annotated[str, Field(min_length=1, description="the file or folder")]
Hub = Annotated[str, Field(min_length=1, description="a name on the Hugging Face hub, or a local copy's folder")]
Size = Annotated[
    int | None, Field(ge=1, description="side of the square images: resize the shorter side, cut out the centre")
]
Margin = Annotated[int, Field(ge=0, description="pixels that the shorter side is resized to above size")]
Crop = Annotated[int, Field(ge=0, description="train on random windows of images padded by so many black pixels")]
Flip = Annotated[bool, Field(description="train on images mirrored at random")]
Cutout = Annotated[int, Field(ge=0, description="train on images with a random square of this side set to the mean")]
Area = Annotated[
    float | None, Field(gt=0, le=1, description="train on random parts of at least this share of each image's area")
]
Count = Annotated[
    int | None,
    Field(ge=1, description="so many images, classes balanced; more than there are is an error; null for all"),
]
HeldOut = Annotated[
    int | None,
    Field(ge=1, description="so many images, classes balanced; null for all, or a tenth of train if held out"),
]
Seed = Annotated[int, Field(ge=0, description="of the draws that hold images out, leave images out and order them")]
MemoryMb = Annotated[int, Field(ge=0, description="a split whose pixels take more megabytes is read image by image")]

DEFAULT_MEMORY_MB = 1_000
