"""Who acts on the road from outside: senders with retries, a rogue at the topic, an operator who replays."""

import asyncio
import dataclasses
import datetime as dt
import json
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from consume.deliveries import RUBBISH, values
from consume.rogues import HEADERS, ROGUES
from licet.domain.errors import InvalidInput, Unavailable
from licet.queue.message import REPLAY_OF, Record
from licet.receive.webhook import Post
from sim.processes import Died
from support.world import NOON

if TYPE_CHECKING:
    from sim.world import World

Action = Callable[[], Coroutine[Any, Any, None]]
# Long enough for every outage of the storm; then a sender gives up, as Salesforce does.
ATTEMPTS = 40


@dataclasses.dataclass(frozen=True)
class Letter:
    """A post as its sender wrote it. ``ids`` has the (event id, customer) of each item whose id the sender chose."""

    at: float
    body: bytes
    webhook_id: str | None
    ids: tuple[tuple[str, str], ...]
    good: bool


class Sender:
    """Salesforce: posts changes, posts them again until a door says 202, and now and then once more."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._values = values(world.mapping)
        self._letters: list[Letter] = []
        self._number = world.weather.posts

    def posts(self) -> list[Coroutine[Any, Any, None]]:
        """Write all letters; returns the sending of each."""
        dice, weather = self._world.dice, self._world.weather
        for number in range(weather.posts):
            if self._letters and dice.random() < weather.again:
                earlier = dice.choice(self._letters)
                self._letters.append(dataclasses.replace(earlier, at=dice.uniform(0, weather.storm)))
            else:
                self._letters.append(self._letter(number))
        return [self._send(letter) for letter in self._letters]

    def _letter(self, number: int, at: float | None = None, customer: str | None = None) -> Letter:
        dice = self._world.dice
        at = dice.uniform(0, self._world.weather.storm) if at is None else at
        if dice.random() < self._world.weather.bad:
            return Letter(at, dice.choice(RUBBISH), None, (), good=False)
        webhook_id = f"hook-{number}" if dice.random() < 0.5 else None
        ids: list[tuple[str, str]] = []
        if dice.random() < 0.7:
            return Letter(
                at, self._change(at, f"e{number}", webhook_id, ids, customer), webhook_id, tuple(ids), good=True
            )
        items = [
            self._change(at, f"e{number}-{index}", f"{webhook_id}:{index}" if webhook_id else None, ids, customer)
            for index in range(dice.randint(1, 4))
        ]
        return Letter(at, b"[" + b",".join(items) + b"]", webhook_id, tuple(ids), good=True)

    def _change(
        self, at: float, event_id: str, webhook_id: str | None, ids: list[tuple[str, str]], customer: str | None
    ) -> bytes:
        """Write one change, and note its event id where the sender chooses one."""
        dice = self._world.dice
        customer = customer or f"c-{dice.randrange(self._world.weather.customers)}"
        payload = {field: dice.choice(pool) for field, pool in self._values.items() if dice.random() < 0.35}
        known = [pair for letter in self._letters for pair in letter.ids]
        if known and dice.random() < self._world.weather.reused:
            event_id, customer = dice.choice(known)
            payload["EventId"] = event_id
        elif dice.random() < 0.6:
            payload["EventId"] = event_id
        clock = dice.choice((None, "true", "true", "hours"))
        if clock is not None:
            off = dice.uniform(-30, 30) if clock == "true" else 3600 * dice.choice((-2, 1, 2, 3, 40)) - at
            payload["SystemModstamp"] = (NOON + dt.timedelta(seconds=at + off)).isoformat()
        sent = payload.get("EventId", webhook_id)
        if sent is not None:
            ids.append((sent, customer))
        return json.dumps({"Id": customer, **payload}).encode()

    async def _send(self, letter: Letter) -> None:
        world = self._world
        await asyncio.sleep(letter.at - world.loop.time())
        for _ in range(ATTEMPTS):
            door = world.dice.choice(world.doors)
            arrived, blind = world.loop.time(), world.blinded
            for pair in letter.ids:
                world.arrivals.setdefault(pair, arrived)
                if blind:
                    world.blind.add(pair)
            try:
                receipt = await door.receive(Post("salesforce", letter.webhook_id), letter.body)
            except (Died, Unavailable) as error:
                world.say(f"{door.name} takes nothing of {letter.webhook_id}: {type(error).__name__} {error}"[:120])
                await asyncio.sleep(world.dice.uniform(0.5, 2))
                continue
            except InvalidInput:
                assert not letter.good, f"refused: {letter.body!r}"
                return
            assert letter.good, f"taken: {letter.body!r}"
            for change in receipt.changes:
                world.acknowledge(change.event_id, change.customer_id, arrived, blind=blind)
            if not world.chance(world.weather.answer_lost):
                if world.chance(world.weather.chained):
                    await self._go_on(receipt.changes[0].customer_id)
                return
            world.say("the 202 is lost on its way")

    async def _go_on(self, customer: str) -> None:
        """Post the next change of a customer as soon as the 202 of the one before is there."""
        self._number += 1
        at = self._world.loop.time() + self._world.dice.choice((0.0, 0.1, 0.4))
        letter = self._letter(self._number, at, customer)
        self._letters.append(letter)
        await self._send(letter)


class Rogue:
    """Writes to the topic past every door."""

    def __init__(self, world: "World") -> None:
        self._world = world
        # SKU1 is no flag of the second catalog, and any word may stand in a field that nothing maps.
        custom = "SKU1" not in self._world.mapping.flags
        self._kinds = [kind for kind in ROGUES if not (custom and kind == "a flag that is a word")]

    def writes(self) -> list[Action]:
        return [self._write] * self._world.weather.rogues

    async def _write(self) -> None:
        world = self._world
        kind = world.dice.randrange(3)
        if kind == 0:
            key, value, headers = ROGUES[world.dice.choice(self._kinds)]
        elif kind == 1:
            key, value, headers = b"c-0", world.dice.randbytes(world.dice.randrange(40)), HEADERS
        else:  # a change that says it is a replay of a delivery that never was
            key, value, headers = b"c-0", b'{"Id":"c-0"}', [*HEADERS, (REPLAY_OF, b"sim@1/11/999999")]
        position = world.topic.write(key, value, headers)
        world.say(f"a rogue writes {position.partition}/{position.offset}")
        if kind != 2:
            world.rubbish.add((position.partition, position.offset))


class Operator:
    """Replays dead letters at their original place, some of them twice."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def replays(self) -> list[Action]:
        return [self._replay] * self._world.weather.replays

    async def _replay(self) -> None:
        world = self._world
        dead = sorted(world.store.dead)
        if not dead:
            return
        sequence = world.dice.choice(dead)
        place, kept = next((p, k) for p, k in world.store.ledger.items() if k.delivery.sequence == sequence)
        record: Record = world.topic.records[place[1]][place[2]]
        before = [header for header in record.headers if header[0] == REPLAY_OF]
        origin = [(REPLAY_OF, "/".join(map(str, place)).encode())]
        headers = [header for header in record.headers if header[0] != REPLAY_OF] + (before or origin)
        position = world.topic.write(record.key, record.value, headers)
        if place[1:] in world.rubbish:
            world.rubbish.add((position.partition, position.offset))
        world.say(f"an operator replays #{kept.delivery.sequence} as {position.partition}/{position.offset}")
