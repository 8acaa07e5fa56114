"""Names of customers, users and domains, in the one form that Licet keeps them in."""

import re

import msgspec

from licet.domain.errors import Fault, InvalidInput

_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_SHORT = re.compile(r"[A-Za-z0-9]{15}\Z")
_LONG = re.compile(r"[A-Za-z0-9]{18}\Z")
_VERBATIM = re.compile(r"[A-Za-z0-9._\-]{1,128}\Z")
_ALIAS = re.compile(r"([a-z][a-z0-9_\-]{0,31}):([^\s\x00-\x1f\x7f]{1,200})\Z")
_DOMAIN = re.compile(r"(?=.{3,253}\Z)([a-z0-9]([a-z0-9\-]{0,61}[a-z0-9])?\.)+[a-z0-9\-]{2,63}\Z")
_USER = re.compile(r"[^\s\x00-\x1f\x7f]{1,320}\Z")

# Anyone can have an address there, so such a domain says nothing about whose user it is.
PUBLIC_EMAIL_DOMAINS = frozenset(
    """
    aol.com fastmail.com free.fr gmail.com gmx.at gmx.ch gmx.com gmx.de gmx.net googlemail.com hey.com
    hotmail.co.uk hotmail.com hotmail.de hotmail.fr icloud.com laposte.net libero.it live.com mac.com mail.com
    mail.ru me.com msn.com naver.com orange.fr outlook.com outlook.de pm.me proton.me protonmail.com qq.com
    rediffmail.com t-online.de tutanota.com web.de yahoo.co.jp yahoo.co.uk yahoo.com yahoo.de yandex.com yandex.ru
    ymail.com zoho.com 126.com 163.com
    """.split()  # noqa: SIM905 forty quoted names would fill a page
)


class CustomerRef(msgspec.Struct, frozen=True, gc=False):
    """How a caller names a customer: its id, or an alias ``system:value``. Exactly one of both is set."""

    customer_id: str | None = None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str) -> "CustomerRef":
        """Read ``0015g00000AbCdE``, its 18-character form, any verbatim id, or ``tenant:4711``.

        Raises ``InvalidInput`` where the text is neither.
        """
        if ":" in text:
            return cls(alias=alias(text))
        return cls(customer_id=canonical_customer_id(text))


def suffix_of(short: str) -> str:
    """Compute the three characters that make a 15-character Salesforce id safe where case is ignored."""
    return "".join(
        _SUFFIX[sum(1 << bit for bit, char in enumerate(short[at : at + 5]) if "A" <= char <= "Z")] for at in (0, 5, 10)
    )


def canonical_customer_id(text: str) -> str:
    """Return the 18-character form of a Salesforce id, or any other id verbatim.

    Raises ``InvalidInput`` for an id that could not stand in an address or a message key.
    """
    if _VERBATIM.match(text):
        return completed(text)
    raise InvalidInput.of(
        Fault(
            "customer",
            shown(text),
            "an id of 1 to 128 letters, digits, '.', '_' or '-', or an alias system:value",
        )
    )


def completed(text: str) -> str:
    """Return a 15-character Salesforce id with its last three, any other text as it is."""
    return text + suffix_of(text) if _SHORT.match(text) else text


def is_salesforce_id(text: str) -> bool:
    """Tell whether the text is a well-formed 15- or 18-character Salesforce id."""
    return bool(_SHORT.match(text)) or bool(_LONG.match(text) and suffix_of(text[:15]) == text[15:])


def alias(text: str) -> str:
    """Check an alias ``system:value``; the value is kept verbatim."""
    if not _ALIAS.match(text):
        raise InvalidInput.of(
            Fault("alias", shown(text), "system:value, the system in lower-case letters, digits, '_' or '-'")
        )
    return text


def user_id(text: str) -> str:
    """Return the user's id; an e-mail address in lower case, any other id verbatim."""
    if not _USER.match(text):
        raise InvalidInput.of(Fault("user", shown(text), "an id or an e-mail address without spaces"))
    return text.lower() if "@" in text else text


def email_domain(user: str) -> str | None:
    """Return the domain of an e-mail address, or None where the user is no address or the domain is public."""
    _, at, domain = user.rpartition("@")
    return domain if at and _DOMAIN.match(domain) and domain not in PUBLIC_EMAIL_DOMAINS else None


def verified_domain(text: str) -> str:
    """Return an e-mail domain in lower case. Raises ``InvalidInput`` for a malformed or a public one."""
    domain = text.lower().rstrip(".")
    if not _DOMAIN.match(domain):
        raise InvalidInput.of(Fault("domain", shown(text), "a domain such as acme.example"))
    if domain in PUBLIC_EMAIL_DOMAINS:
        raise InvalidInput.of(Fault("domain", shown(text), "a domain of one company; anyone can have an address here"))
    return domain


def shown(value: object) -> str:
    """Render a found value for an error: its kind, and at most 40 characters of it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            text = value[:40].encode("utf-8", "replace").decode()  # a lone surrogate could not be written anywhere
            return f'"{text}…"' if len(value) > 40 else f'"{text}"'  # noqa: PLR2004 one line of a terminal
        case int() | float():
            return f"the number {str(value)[:40]}"
        case list():
            return f"an array of {len(value)}"
        case dict():
            return f"an object of {len(value)} fields"
        case _:
            return type(value).__name__
