"""One customer stays in one partition, whichever log and whichever client writes."""

import pytest

from licet.queue.partitioner import murmur2, partition_of
from support.logs import KafkaWire, append, message, placed
from support.mock_cluster import MockCluster


@pytest.mark.parametrize(
    ("key", "signed"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_it_hashes_as_the_java_clients_do(key: str, signed: int) -> None:
    assert murmur2(key.encode()) == signed % 2**32


def test_postgresql_and_a_real_producer_choose_the_same_partition(cluster: MockCluster) -> None:
    wire = KafkaWire.on_mock(cluster)
    keys = [f"0015g00000{number:05d}AAV"[: 1 + number % 19] + "é" * (number % 3) for number in range(300)]
    positions = placed(append(wire, [message(key) for key in keys]))
    assert [position.partition for position in positions] == [partition_of(key.encode()) for key in keys]
    assert len({position.partition for position in positions}) == 12
