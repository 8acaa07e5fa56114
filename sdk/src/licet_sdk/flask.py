"""Flask: ``install(app, licet, who)`` once, and ``@requires_feature("…")`` on a view."""

import functools
from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeVar

from flask import Flask, current_app, g
from flask.typing import ResponseReturnValue

from licet_sdk.client import Licet
from licet_sdk.guard import MEDIA_TYPE, FeatureDenied

P = ParamSpec("P")
T = TypeVar("T")


def install(app: Flask, licet: Licet, who: Callable[[], Mapping[str, str | None]]) -> None:
    """Make the client known to the app. ``who`` returns ``{"user": …}``, ``{"customer": …}`` or both.

    ``app.errorhandler(FeatureDenied)`` after it shows a refusal your way.
    """
    app.extensions["licet"] = licet, who
    app.register_error_handler(FeatureDenied, _show)


def requires_feature(feature: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Let a view run only for whom the feature is allowed; ``g.licet`` is the decision."""

    def decorate(view: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            licet, who = current_app.extensions["licet"]
            g.licet = licet.check(feature, **who())
            if not g.licet.allowed:
                raise FeatureDenied(g.licet)
            return view(*args, **kwargs)

        return guarded

    return decorate


def _show(denied: FeatureDenied) -> ResponseReturnValue:
    return denied.problem, 403, {"Content-Type": MEDIA_TYPE}
