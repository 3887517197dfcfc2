"""Every data set can be configured: its options have types, meanings and defaults that are allowed."""

from __future__ import annotations

import pydantic
import pytest

from raynas.data import DATA


@pytest.mark.parametrize("name", DATA.names())
def test_options_can_be_checked(name: str) -> None:
    model = DATA.options_model(name)
    assert all(field.description for field in model.model_fields.values())
    given = {"path": "somewhere"} if "path" in model.model_fields else {}
    assert model.model_validate(given).model_dump().keys() == model.model_fields.keys()
    with pytest.raises(pydantic.ValidationError):
        model.model_validate({**given, "sise": 8})
    assert DATA.describe(name)


@pytest.mark.parametrize("wrong", [{"size": 0}, {"crop": -1}, {"valid_images": 0}, {"area": 1.5}, {"channels": 2}])
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(pydantic.ValidationError):
        DATA.options_model("imagefolder").model_validate({"path": "somewhere", **wrong})
