"""The base class that gives type checkers the settings: `setting_attributes.pyi` has them."""


class SettingAttributes:
    """The settings as attributes, for editors and type checkers; it is empty when it runs."""

    __slots__ = ()
