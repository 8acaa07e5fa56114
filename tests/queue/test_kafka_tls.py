"""Kafka over TLS with a user and a password, by settings; what is wrong is said without the password."""

import asyncio
from collections.abc import Iterator

import msgspec
import pytest

from licet.bootstrap.queue import queue_away
from licet.domain.errors import ConfigurationError
from licet.queue.kafka import KafkaLog, KafkaTopic
from licet.queue.ports import AppendFailed
from licet.settings import Settings
from support import certificates
from support.certificates import Certificate, made
from support.kafka import Broker, lacking
from support.logs import KafkaWire, append, message, placed, read

PASSWORD = "correct-horse-battery"  # noqa: S105 a password that must not be shown
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"


class Secured(msgspec.Struct, frozen=True):
    """A broker that speaks TLS only and asks who comes."""

    brokers: str
    ours: Certificate
    other: Certificate

    def settings(self, **changed: str) -> Settings:
        config = {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "sasl.username": "licet",
            "sasl.password": PASSWORD,
            "ssl.ca.location": self.ours.certificate,
        } | {name.replace("_", "."): value for name, value in changed.items()}
        text = ",".join(f"{name}={value}" for name, value in config.items())
        return Settings.read({"LICET_KAFKA_BROKERS": self.brokers, "LICET_KAFKA_CONFIG": text})

    def topic(self, **changed: str) -> KafkaTopic:
        return KafkaTopic(brokers=self.brokers, config=dict(self.settings(**changed).kafka_config))


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    missing = lacking() or certificates.lacking()
    if missing is not None:
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("kafka-tls")
    ours, other = made(folder, "ours"), made(folder, "other")
    broker = Broker(folder)
    port = int(broker.bootstrap.rpartition(":")[2])
    (folder / "extra.properties").write_text(
        f"""
listeners=SASL_SSL://127.0.0.1:{port},CONTROLLER://127.0.0.1:{port + 1}
advertised.listeners=SASL_SSL://127.0.0.1:{port}
inter.broker.listener.name=SASL_SSL
listener.security.protocol.map=CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
listener.name.sasl_ssl.plain.sasl.jaas.config={PLAIN} username="licet" password="{PASSWORD}" user_licet="{PASSWORD}";
ssl.keystore.type=PEM
ssl.keystore.location={ours.both}
ssl.truststore.type=PEM
ssl.truststore.location={ours.certificate}
"""
    )
    broker.start()
    try:
        yield Secured(broker.bootstrap, ours, other)
    finally:
        broker.kill()


pytestmark = pytest.mark.broker


def test_changes_go_over_tls_with_a_user_and_a_password(secured: Secured) -> None:
    assert queue_away(secured.settings()) is None
    wire = KafkaWire(secured.brokers, lambda: None, lambda: None)
    wire.topic = secured.topic()
    placed(append(wire, [message("one")]))
    reader = wire.reader()
    assert [record.value for record in read(reader, 1)] == [message("one").value]
    reader.close()


@pytest.mark.parametrize("wrong", ["password", "authority", "plain text"])
def test_what_is_not_trusted_is_refused_and_no_password_is_told(
    secured: Secured, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    changed = {
        "password": {"sasl_password": "wrong-horse-battery"},
        "authority": {"ssl_ca_location": secured.other.certificate},
        "plain text": {"security_protocol": "PLAINTEXT"},
    }[wrong]
    said = queue_away(secured.settings(**changed)) or ""
    assert f"Kafka at {secured.brokers}" in said
    told = {
        "password": "the broker refused the sign-in (",
        "authority": "no TLS with the broker (",
        "plain text": "no answer (",
    }
    assert told[wrong] in said
    assert said.endswith("in LICET_KAFKA_CONFIG"), "it says what to do"
    topic = secured.topic(**changed)

    async def refused() -> object:
        log = KafkaLog(topic, timeout=1.5)
        (result,) = await log.append([message("one")])
        await log.close()
        return result

    result = asyncio.run(refused())
    assert isinstance(result, AppendFailed)
    for text in (said, result.reason, caplog.text, repr(topic), repr(secured.settings(**changed))):
        assert "horse" not in text


def test_a_setting_that_kafkas_client_does_not_take_is_named_without_its_value() -> None:
    for config in (
        "sasl.password=correct-horse,security.protokoll=x",
        "security.protocol=ssl,ssl.key.password=correct-horse,ssl.ca.location=/none",
    ):
        with pytest.raises(ConfigurationError, match="LICET_KAFKA_CONFIG") as told:
            queue_away(Settings.read({"LICET_KAFKA_BROKERS": "127.0.0.1:1", "LICET_KAFKA_CONFIG": config}))
        assert "horse" not in told.value.detail
