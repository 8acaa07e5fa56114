"""A form that was refused: its page is shown again with what the person typed, and what is wrong beside each field."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from licet.domain.errors import Fault, InvalidInput, LicetError

NOTHING: Mapping[str, Sequence[str]] = MappingProxyType({})


class Refusal(msgspec.Struct, frozen=True):
    """``form`` is one of its page, ``held`` what its fields held. A page whose forms nobody sent has an empty one.

    An element's id is ``FIELD-FORM``. ``names``: how a fault's field is called in the form, where it is otherwise.
    """

    form: str = ""
    held: Mapping[str, Sequence[str]] = NOTHING
    error: LicetError | None = None
    names: Mapping[str, str] = MappingProxyType({})

    @property
    def faults(self) -> Sequence[tuple[str | None, Fault]]:
        """Each fault with the field of the form that has it, None where none has."""
        all_ = self.error.faults if isinstance(self.error, InvalidInput) else ()
        named = [(self.names.get(one.field, one.field), one) for one in all_]
        return [(field if field in self.held or field in self.names.values() else None, one) for field, one in named]

    def value(self, form: str, field: str, otherwise: str = "") -> str:
        """Return what a field is to hold: what was typed, or what it has when nothing was."""
        return self.held.get(field, [""])[0] if form == self.form else otherwise

    def holds(self, form: str, field: str, value: str) -> bool:
        """Tell whether a value was chosen, of a field that may hold several."""
        return form == self.form and value in self.held.get(field, ())

    def fault(self, form: str, field: str) -> Fault | None:
        """Return what is wrong with a field."""
        return next((one for at, one in self.faults if at == field), None) if form == self.form else None
