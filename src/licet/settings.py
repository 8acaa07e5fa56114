"""The settings: one declaration each. Default, help, parsing and the start-up listing all come from it."""

import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any

from licet.domain import ids
from licet.domain.errors import ConfigurationError, InvalidInput
from licet.domain.ids import shown

PREFIX = "LICET_"


def _number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,12}", text) or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def _one_of(*values: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in values:
            raise ValueError(" or ".join(values))
        return text

    return parse


_switch = _one_of("on", "off")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[\s,]+", text) if word)


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Read ``name=value`` pairs, separated by commas or white space."""
    pairs = []
    for word in _words(text):
        name, equals, value = word.partition("=")
        if not equals or not name or not value:
            raise ValueError("name=value pairs separated by commas")
        pairs.append((name, value))
    return tuple(pairs)


def _roles(text: str) -> tuple[tuple[str, str], ...]:
    pairs = _pairs(text)
    if not {role for role, _ in pairs} <= {"sales", "support", "admin"}:
        raise ValueError("sales=…,support=…,admin=…, each as the claim says it")
    return pairs


def _organization(text: str) -> str:
    if not ids.is_salesforce_id(text):
        raise ValueError("a 15- or 18-character Salesforce id (00D…)")
    return ids.canonical_customer_id(text)


def _like(shape: str, said: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not re.fullmatch(shape, text):
            raise ValueError(said)
        return text

    return parse


_key = _like(r"[\x21-\x7e]{16,200}", "16 to 200 printable characters without spaces")
_url = _like(r"https?://[^\s/]+\S*", "an address https://host/path")
_address = _like(r"https?://[^\s/]+/?", "an address without a path, https://host")


def _origin(text: str) -> str:
    return _address(text).rstrip("/")


def _secrets(text: str) -> tuple[tuple[str, str], ...]:
    """Read ``name=whsec_…`` pairs; a name may stand twice, for rotation."""
    pairs = []
    for word in _words(text):
        name, equals, value = word.partition("=")
        if value.startswith("whsec_") and equals and re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", name):
            pairs.append((name, value))
        elif word.startswith("whsec_"):
            pairs.append(("salesforce", word))
        else:
            raise ValueError("whsec_… secrets, each as sender=whsec_… where there is more than one sender")
    return tuple(pairs)


def setting(default: Any, help_: str, parse: Callable[[str], Any] = str, *, secret: bool = False) -> Any:
    """Declare one setting."""
    return dataclasses.field(default=default, metadata={"help": help_, "parse": parse, "secret": secret})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of a Licet process. Each is read once from the environment, prefix ``LICET_``."""

    database_url: str = setting(
        "",
        "PostgreSQL, as postgresql://user:password@host/database. `licet up` brings its own where unset.",
        secret=True,
    )
    kafka_brokers: str = setting("", "Kafka, as host:port,host:port. Unset: the queue lives in PostgreSQL.")
    kafka_topic: str = setting("licet.customer-changes", "The topic that carries customer changes; made if absent.")
    kafka_replication: int = setting(1, "Replicas of a topic that Licet makes.", _number(1, 9))
    kafka_config: tuple[tuple[str, str], ...] = setting(
        (), "librdkafka settings passed through: security.protocol=SASL_SSL,sasl.username=…", _pairs, secret=True
    )
    publish: str = setting("off", "`on`: workers tell each change of a customer on a Kafka topic.", _switch)
    publish_topic: str = setting("licet.license-changes", "That topic; made if absent, compacted.")
    host: str = setting("127.0.0.1", "The address that the door and the API listen on.")
    port: int = setting(8000, "The port that the door and the API listen on.", _number(0, 65535))
    webhook_auth: str = setting("required", "`none` lets anyone post to the webhook.", _one_of("required", "none"))
    webhook_secrets: tuple[tuple[str, str], ...] = setting(
        (), "Standard Webhooks secrets: whsec_…, or sender=whsec_…; several for rotation.", _secrets, secret=True
    )
    webhook_tolerance_s: int = setting(300, "How far a webhook's timestamp may be off, in seconds.", _number(1, 86400))
    webhook_source: str = setting("salesforce", "The name of a sender that posts without a signature or a key.")
    salesforce_org_id: str | None = setting(
        None, "The one Salesforce organisation to take changes from; any other is refused.", _organization
    )
    bootstrap_api_key: str | None = setting(
        None, "An admin key that is valid from the first start on.", _key, secret=True
    )
    oidc_issuer: str | None = setting(
        None, "The issuer whose OIDC tokens may stand for a user, as in their claim iss. Unset: none.", _url
    )
    oidc_audience: str | None = setting(None, "The audience that a token must be meant for, as in its claim aud.")
    oidc_jwks_url: str | None = setting(
        None, "Where the issuer's keys are. Unset: the issuer's /.well-known/openid-configuration says it.", _url
    )
    oidc_user_claim: str = setting(
        "email", "The claim that names the user. `email` counts only where email_verified; else sub does."
    )
    oidc_customer_claim: str | None = setting(
        None, "The claim that names the customer of a user who belongs to none: an id or an alias system:value."
    )
    oidc_customer_system: str | None = setting(
        None, "The alias's system where that claim holds only the value: `tenant` makes tenant:4711."
    )
    console: str = setting("on", "`off`: no page at /console.", _switch)
    console_url: str | None = setting(
        None, "Where browsers find Licet, as https://licet.example; needed for OIDC, else any name will do.", _origin
    )
    console_secret: str | None = setting(
        None,
        "Signs the console's sessions; the same for all web processes. Unset: random, a restart ends all.",
        _key,
        secret=True,
    )
    console_oidc_client_id: str | None = setting(
        None,
        "The console as a client of LICET_OIDC_ISSUER; its redirect is LICET_CONSOLE_URL/console/sign-in/callback.",
    )
    console_oidc_client_secret: str | None = setting(None, "That client's secret. Unset: PKCE alone.", secret=True)
    console_oidc_scope: str = setting("openid email profile", "What the console asks the issuer for.")
    console_roles_claim: str = setting("roles", "The claim of the ID token with a person's roles; a.b: b within a.")
    console_roles: tuple[tuple[str, str], ...] = setting(
        (("sales", "licet-sales"), ("support", "licet-support"), ("admin", "licet-admin")),
        "What that claim holds for each role: sales=…,support=…,admin=…",
        _roles,
    )
    catalog: str | None = setting(None, "A catalog.toml to apply where the store has none yet. Unset: the seed's.")
    batch_size: int = setting(500, "How many deliveries the worker applies in one transaction.", _number(1, 10000))
    dead_limit: int = setting(
        100, "A partition stops at so many dead letters among its last deliveries; 0: never.", _number(0, 1_000_000)
    )
    dead_share: int = setting(50, "It stops only where they are at least so many per cent of them.", _number(0, 100))
    dead_window: int = setting(
        1000, "How many of a partition's last deliveries are counted for both.", _number(1, 100_000)
    )
    brake: str = setting("on", "`off`: the safety brake holds nothing, however many licenses end at once.", _switch)
    brake_window_s: int = setting(3600, "Within how many seconds the safety brake counts ends.", _number(60, 604_800))
    brake_ends: int | None = setting(
        None, "From so many licenses ended within the window on it keeps access. Unset: any number.", _number(1, 10**9)
    )
    brake_share: int = setting(
        20, "The same, as per cent of those that gave access when the window began; 0: any share.", _number(0, 100)
    )
    brake_floor: int = setting(50, "Up to so many ends within the window are never a share.", _number(0, 10**9))
    brake_hold_h: int = setting(72, "For how many hours it keeps access to what ended beyond.", _number(1, 8760))
    payload_days: int = setting(
        0, "How many days `licet prune` leaves the bytes of deliveries in the ledger; 0: for ever.", _number(0, 36_500)
    )
    stale_after_s: int = setting(
        60, "From this age on, in seconds, an answer follows its feature's `when_stale`.", _number(1, 86400)
    )
    stream_readers: int = setting(1000, "How many streams may be open in one web process.", _number(1, 100_000))
    append_timeout_ms: int = setting(4000, "How long the door waits for the queue's word.", _number(100, 60000))
    metrics_port: int = setting(9464, "The worker's port for /metrics, /livez and /readyz.", _number(0, 65535))
    metrics_host: str = setting("127.0.0.1", "The worker's address for /metrics, /livez and /readyz.")
    traces: str = setting(
        "off",
        "`on`: spans go to OpenTelemetry's collector (extra `otel`); the variables OTEL_… say where and how many.",
        _switch,
    )
    log_format: str = setting("text", "How log lines are written.", _one_of("text", "json"))
    log_level: str = setting("info", "The least grave log line written.", _one_of("debug", "info", "warning", "error"))

    @classmethod
    def read(cls, environment: Mapping[str, str], **overrides: Any) -> "Settings":
        """Read the environment. Raises ``ConfigurationError`` that names every fault at once.

        ``overrides`` are values from the command line; they win. An empty variable counts as unset.
        """
        values: dict[str, Any] = {}
        faults = []
        known = {PREFIX + field.name.upper(): field for field in dataclasses.fields(cls)}
        for name, field in known.items():
            text = environment.get(name, "")
            if not text:
                continue
            try:
                values[field.name] = field.metadata["parse"](text)
            except (ValueError, InvalidInput) as error:
                found = "a value that is not shown" if field.metadata["secret"] else shown(text)
                faults.append(f"{name}: found {found}, expected {error}")
        reserved = (PREFIX + "TEST_", PREFIX + "SIMULATOR_")  # of the tests, and of the simulator beside it
        faults += [
            f"{name}: no such setting{_nearest(name, known)}"
            for name in sorted(environment)
            if name.startswith(PREFIX) and name not in known and not name.startswith(reserved)
        ]
        if faults:
            raise ConfigurationError("\n".join(faults))
        values.update({name: value for name, value in overrides.items() if value is not None})
        return cls(**values)

    def secrets(self) -> list[str]:
        """Return every value that must never leave the process."""
        kafka = [value for name, value in self.kafka_config if re.search("password|secret|pem|token", name)]
        webhook = [secret for _, secret in self.webhook_secrets]
        single = (self.bootstrap_api_key, self.console_secret, self.console_oidc_client_secret)
        return [secret for secret in (*kafka, *webhook, *single) if secret]

    def listing(self) -> list[tuple[str, str, str]]:
        """Return (variable, value, help) of each setting, secrets masked."""
        rows = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            masked = "(set)" if value and field.metadata["secret"] else written(value)
            rows.append((PREFIX + field.name.upper(), masked, field.metadata["help"]))
        return rows

    def __repr__(self) -> str:
        return "Settings(" + ", ".join(f"{name}={value!r}" for name, value, _ in self.listing() if value) + ")"


def written(value: Any) -> str:
    """Write a value as the environment would hold it; nothing for none."""
    if isinstance(value, tuple):
        return ",".join("=".join(pair) for pair in value)
    return "" if value is None else str(value)


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]}?" if close else ""
