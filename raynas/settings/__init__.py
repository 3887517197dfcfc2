"""Settings: what a sweep varies, and which settings it tries."""

from raynas.settings.halving import HalvingRule
from raynas.settings.ranges import Choices, Interval, Range, read_range
from raynas.settings.setting import Setting, every_setting, names_of, random_settings, setting_of

__all__ = [
    "Choices",
    "HalvingRule",
    "Interval",
    "Range",
    "Setting",
    "every_setting",
    "names_of",
    "random_settings",
    "read_range",
    "setting_of",
]
