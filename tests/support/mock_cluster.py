"""librdkafka's mock Kafka cluster, taken out of the confluent-kafka wheel through ctypes.

It speaks the real protocol on loopback, so real producers and consumers talk to it, and it injects faults. It keeps
nothing across a restart and makes no topics on request: what needs durability runs on ``kafka.sh``.
"""

import ctypes
import pathlib
from types import TracebackType
from typing import Any, Self

import confluent_kafka

_PRODUCER = 0  # rd_kafka_type_t
PRODUCE = 0  # API keys of the protocol
FETCH = 1


def _librdkafka() -> ctypes.CDLL:
    packages = pathlib.Path(confluent_kafka.__file__).parent.parent
    found = sorted(packages.glob("confluent_kafka.libs/librdkafka*")) + sorted(
        packages.glob("confluent_kafka/.dylibs/librdkafka*")
    )
    if not found:
        raise RuntimeError("this confluent-kafka build does not bundle librdkafka")
    return ctypes.CDLL(str(found[0]))


class MockCluster:
    """``with MockCluster(brokers=3) as kafka: Producer({"bootstrap.servers": kafka.bootstrap})``."""

    def __init__(self, brokers: int = 1) -> None:
        self._lib = _librdkafka()
        error = ctypes.create_string_buffer(512)
        conf = self._pointer("rd_kafka_conf_new")
        size = ctypes.c_size_t(len(error))
        self._lib.rd_kafka_conf_set(conf, b"log_level", b"0", error, size)
        self._client = self._pointer("rd_kafka_new", ctypes.c_int(_PRODUCER), conf, error, size)
        if not self._client.value:
            raise RuntimeError(error.value.decode())
        self._cluster = self._pointer("rd_kafka_mock_cluster_new", self._client, ctypes.c_int(brokers))
        self.brokers = range(1, brokers + 1)
        bootstraps = self._lib.rd_kafka_mock_cluster_bootstraps
        bootstraps.restype = ctypes.c_char_p
        self.bootstrap: str = bootstraps(self._cluster).decode()
        # With a controller, what the mock cannot do fails at once instead of waiting for one.
        self._lib.rd_kafka_mock_set_controller_id(self._cluster, ctypes.c_int32(1))
        # A group of the mock waits 3 s for further members by default.
        self._lib.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, ctypes.c_int32(0))

    def create_topic(self, name: str, partitions: int = 12) -> None:
        self._call("topic_create", name.encode(), ctypes.c_int(partitions), ctypes.c_int(len(self.brokers)))

    def set_down(self, broker: int = 1) -> None:
        self._call("broker_set_down", ctypes.c_int32(broker))

    def set_up(self, broker: int = 1) -> None:
        self._call("broker_set_up", ctypes.c_int32(broker))

    def set_rtt(self, milliseconds: int, broker: int = 1) -> None:
        self._call("broker_set_rtt", ctypes.c_int32(broker), ctypes.c_int(milliseconds))

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Drop the records below an offset, as retention does."""
        args = (topic.encode(), ctypes.c_int32(partition), ctypes.c_int64(before))
        self._call("partition_delete_records", *args)

    def fail_next(self, api_key: int, *errors: int) -> None:
        """The next ``len(errors)`` requests of this API get these error codes."""
        array = (ctypes.c_int * len(errors))(*errors)
        push = self._lib.rd_kafka_mock_push_request_errors_array
        push(self._cluster, ctypes.c_int16(api_key), ctypes.c_size_t(len(errors)), array)

    def write(self, topic: str, value: bytes, header: tuple[bytes, bytes]) -> None:
        """Write a record as a foreign client may: the header's name is any bytes."""
        conf = self._pointer("rd_kafka_conf_new")
        error = ctypes.create_string_buffer(512)
        size = ctypes.c_size_t(len(error))
        self._lib.rd_kafka_conf_set(conf, b"bootstrap.servers", self.bootstrap.encode(), error, size)
        producer = self._pointer("rd_kafka_new", ctypes.c_int(_PRODUCER), conf, error, size)
        # What follows each number (rd_kafka_vtype_t): 1 topic, 4 value and its length, 9 header with the same; 0 ends.
        sent = (ctypes.c_int(1), topic.encode(), ctypes.c_int(4), value, ctypes.c_size_t(len(value)))
        named = (ctypes.c_int(9), header[0], header[1], ctypes.c_ssize_t(len(header[1])), ctypes.c_int(0))
        code = self._lib.rd_kafka_producev(producer, *sent, *named)
        left = self._lib.rd_kafka_flush(producer, ctypes.c_int(10000))
        self._lib.rd_kafka_destroy(producer)
        if code or left:
            raise RuntimeError(f"not written: librdkafka error {code or left}")

    def close(self) -> None:
        self._lib.rd_kafka_mock_cluster_destroy(self._cluster)
        self._lib.rd_kafka_destroy(self._client)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _pointer(self, name: str, *args: Any) -> ctypes.c_void_p:
        function = getattr(self._lib, name)
        function.restype = ctypes.c_void_p
        return ctypes.c_void_p(function(*args))

    def _call(self, name: str, *args: Any) -> None:
        code = getattr(self._lib, f"rd_kafka_mock_{name}")(self._cluster, *args)
        if code:
            raise RuntimeError(f"librdkafka error {code}")
