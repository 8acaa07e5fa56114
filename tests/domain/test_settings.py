"""Settings are read once, whole, and never tell a secret."""

import dataclasses
import re

import pytest

from licet.domain.errors import ConfigurationError
from licet.settings import PREFIX, Settings

SECRET = "correct-horse-battery-staple"  # noqa: S105 a secret that is none
SECRETS = {
    "LICET_DATABASE_URL": f"postgresql://licet:{SECRET}@db/licet",
    "LICET_KAFKA_CONFIG": f"sasl.password={SECRET}",
    "LICET_WEBHOOK_SECRETS": f"whsec_{SECRET} other=whsec_{SECRET}",
    "LICET_BOOTSTRAP_API_KEY": SECRET,
}


def faults(environment: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        Settings.read(environment)
    return refused.value.detail.splitlines()


def test_nothing_need_be_set() -> None:
    settings = Settings.read({})
    assert (settings.host, settings.port, settings.webhook_auth, settings.kafka_brokers) == (
        "127.0.0.1",
        8000,
        "required",
        "",
    )
    assert settings == Settings.read({"LICET_PORT": "", "PATH": "/bin", "OTHER_PORT": "x"})


def test_each_kind_of_value_is_read() -> None:
    settings = Settings.read(
        {
            "LICET_PORT": "0",
            "LICET_KAFKA_CONFIG": "a.b=c=d, e=f\ng=h",
            "LICET_WEBHOOK_SECRETS": "whsec_one, other=whsec_two other=whsec_three==",
            "LICET_SALESFORCE_ORG_ID": "00D5g000004aBcD",
            "LICET_LOG_FORMAT": "json",
            "LICET_TEST_DATABASE_URL": "for the tests alone",
        }
    )
    assert settings.port == 0
    assert settings.kafka_config == (("a.b", "c=d"), ("e", "f"), ("g", "h"))
    assert settings.webhook_secrets == (("salesforce", "whsec_one"), ("other", "whsec_two"), ("other", "whsec_three=="))
    assert settings.salesforce_org_id is not None
    assert re.fullmatch("00D5g000004aBcD[A-Z0-5]{3}", settings.salesforce_org_id)
    assert settings.log_format == "json"


def test_the_command_line_wins_where_it_says_something() -> None:
    assert Settings.read({"LICET_PORT": "1"}, port=2, host=None).port == 2
    assert Settings.read({"LICET_HOST": "::1"}, host=None).host == "::1"


def test_all_faults_are_told_at_once_each_with_what_was_expected() -> None:
    told = faults(
        {
            "LICET_PORT": "65536",
            "LICET_BATCH_SIZE": "ten",
            "LICET_WEBHOOK_AUTH": "off",
            "LICET_SALESFORCE_ORG_ID": "acme",
            "LICET_WEBHOOK_SECRETS": "secret",
            "LICET_PROT": "1",
            "LICET_XYZZY_XYZZY_XYZZY": "1",
        }
    )
    assert told == [
        'LICET_PORT: found "65536", expected a whole number from 0 to 65535',
        'LICET_WEBHOOK_AUTH: found "off", expected required or none',
        (
            "LICET_WEBHOOK_SECRETS: found a value that is not shown, expected "
            "whsec_… secrets, each as sender=whsec_… where there is more than one sender"
        ),
        'LICET_SALESFORCE_ORG_ID: found "acme", expected a 15- or 18-character Salesforce id (00D…)',
        'LICET_BATCH_SIZE: found "ten", expected a whole number from 1 to 10000',
        "LICET_PROT: no such setting; did you mean LICET_PORT?",
        "LICET_XYZZY_XYZZY_XYZZY: no such setting",
    ]


@pytest.mark.parametrize("text", ["", "-1", "1.5", "1e3", " 1", "9" * 13, "0x10"])
def test_a_number_is_digits_within_its_limits(text: str) -> None:
    if text:
        assert len(faults({"LICET_BATCH_SIZE": text})) == 1
    else:
        assert Settings.read({"LICET_BATCH_SIZE": text}).batch_size == 500


@pytest.mark.parametrize("key", ["short", "with a space in it", "x" * 201, "é" * 20])
def test_a_bootstrap_key_is_long_enough_and_fits_a_header(key: str) -> None:
    (told,) = faults({"LICET_BOOTSTRAP_API_KEY": key})
    assert key not in told


def test_no_secret_is_told_by_the_listing_the_repr_or_a_fault() -> None:
    settings = Settings.read(SECRETS)
    told = f"{settings!r} {settings} {settings.listing()}"
    assert SECRET not in told
    assert told.count("(set)") == 3 * len(SECRETS)
    wrong = {**SECRETS, "LICET_KAFKA_CONFIG": SECRET, "LICET_WEBHOOK_SECRETS": SECRET, "LICET_PORT": "x"}
    assert SECRET not in "\n".join(faults(wrong))


def test_every_setting_has_help_and_a_line_in_the_listing() -> None:
    rows = Settings().listing()
    assert [name for name, _, _ in rows] == [PREFIX + field.name.upper() for field in dataclasses.fields(Settings)]
    assert all((len(help_) > 10 and help_.endswith(".")) or "=" in help_ for _, _, help_ in rows)
