"""A few kills of ``make kills`` on the mock cluster: nothing untold, in order, every boundary once."""

import pathlib

import psycopg
import pytest

from kills.stage import CHANGES, TOLD, Stage
from support.mock_cluster import MockCluster

pytestmark = pytest.mark.storm


def test_what_is_killed_loses_nothing_tells_in_order_and_each_boundary_once(
    empty_database: str, tmp_path: pathlib.Path
) -> None:
    with MockCluster() as kafka:
        kafka.create_topic(CHANGES)
        kafka.create_topic(TOLD)
        stage = Stage(tmp_path, kafka.bootstrap, empty_database)
        try:
            tally = stage.run(2, 6, (0.3, 1.0))
            assert tally.clean, str(tally)
            assert tally.boundaries > 5, str(tally)
            assert set(tally.kinds) == {"license", "override", "grace"}, str(tally)
            with psycopg.connect(empty_database, autocommit=True) as connection:  # and a fault would be seen
                connection.execute("DELETE FROM time_event WHERE id = (SELECT id FROM time_event LIMIT 1)")
                connection.execute("INSERT INTO change_feed VALUES (1, 'customer', 'nobody')")
            faulty = stage._judge(2, tally.changes)
            assert (faulty.lost, faulty.untold > 0) == (1, True), str(faulty)
        finally:
            stage.close()
