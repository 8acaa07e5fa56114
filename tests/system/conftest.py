"""System tests know Licet by its wire, its words and its processes; they import nothing of it."""

import pathlib
from collections.abc import Iterator

import pytest

from support.processes import Deployment, deployed, new_database


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Where the processes of one module run and write."""
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def store(postgres: str) -> Iterator[str]:
    """The address of an empty database of one module."""
    with new_database(postgres) as url:
        yield url


@pytest.fixture(scope="module")
def deployment(folder: pathlib.Path, store: str) -> Iterator[Deployment]:
    """A web and a worker on the default catalog, with an open door; one for each module that asks."""
    with deployed(folder, store) as running:
        yield running
