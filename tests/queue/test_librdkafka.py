"""What librdkafka says of itself, in the log."""

import pytest

from licet.queue import librdkafka


def test_a_line_that_repeats_is_told_seldom_and_the_next_says_how_many_were_held_back(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = librdkafka.voice("licet.test")
    assert librdkafka.voice("licet.test") is logger
    assert len(logger.filters) == 1
    for attempt in range(40):
        logger.error("FAIL [thrd:127.0.0.1:9092/1]: Connection refused (after %dms in state CONNECT)", attempt)
    logger.error("FAIL [thrd:127.0.0.1:9092/1]: Disconnected")
    assert [text[-12:] for text in caplog.messages] == ["ate CONNECT)", "Disconnected"]
    monkeypatch.setattr(librdkafka, "_REPEAT_S", 0.0)
    logger.error("FAIL [thrd:127.0.0.1:9092/1]: Connection refused (after 7ms in state CONNECT)")
    assert caplog.messages[-1].endswith("(after 7ms in state CONNECT) (39 more like it since the last)")
