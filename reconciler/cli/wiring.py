"""The only place that chooses adapters: the provider, sender, state and secrets of a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.loading import load_fleet
from reconciler.cli.options import FleetFlags
from reconciler.cli.output import MASKER, Output
from reconciler.cli.pull_requests import CHANGES, SECRETS, refuse_unmerged
from reconciler.cli.session import Session
from reconciler.driver.loop import Sender
from reconciler.driver.secrets import HeldSecrets, SecretSources, StandIns
from reconciler.model.address import Owner
from reconciler.model.fleet import DesiredFleet
from reconciler.ports import SecretSource
from reconciler.providers import Connection, Connector, Paced, Purpose, connector_of
from reconciler.secrets import Secret, SecretRef
from reconciler.state.blocking import BlockingStore
from reconciler.state.condition import app_id_of
from reconciler.state.files import make_ignored
from reconciler.state.opening import KEY_VARIABLE, STATE_DIRECTORY, is_in_git, open_state
from reconciler.state.service_cache import ServiceCache

if TYPE_CHECKING:
    from reconciler.driver.http import HttpxSender


def open_session(
    flags: FleetFlags,
    output: Output,
    *,
    purpose: Purpose = Purpose.OBSERVE,
    reads_secrets: bool = False,
    accept: Callable[[DesiredFleet], None] | None = None,
) -> Session:
    """Open a session for a fleet, on the embedded simulator or the real service, as its files say.

    `reads_secrets` is for runs that only observe and resolve references nevertheless. `accept` refuses a fleet by
    raising, before anything else is opened.
    """
    fleet = load_fleet(flags, output)
    if accept is not None:
        accept(fleet)
    connector = connector_for(fleet)
    store = open_store(flags, fleet.owner, output)
    if (purpose is Purpose.CHANGE or reads_secrets) and not connector.is_of_this_machine(os.environ):
        refuse_unmerged(os.environ, CHANGES if purpose is Purpose.CHANGE else SECRETS)
    connection = connector.connect(os.environ, fleet.service, purpose)
    return session_with(fleet, connection, store, flags, output, purpose=purpose)


def connector_for(fleet: DesiredFleet) -> Connector:
    """Return the connector of a fleet's service, and teach the masker its credentials."""
    leave_no_core()
    entry = fleet.service.entry
    connector = connector_of(entry)
    MASKER.learn_all(Secret(os.environ[name]) for name in connector.credentials if name in os.environ)
    for project in (os.environ.get(entry.project_variable), fleet.service.app_id):
        if project:
            MASKER.publish(project)
    return connector


def open_store(flags: FleetFlags, owner: Owner, output: Output) -> BlockingStore:
    """Open the state of a fleet's environment, and teach the masker the key of its digests."""
    if os.environ.get(KEY_VARIABLE):
        MASKER.learn_all([Secret(os.environ[KEY_VARIABLE])])
    store = open_state(flags.state, Path(flags.directory), flags.environment, owner, os.environ)
    MASKER.publish(app_id_of(store))
    output.detail(f"the state is {store.name}")
    for each in store.exposures():
        output.warn_once(f"warning: {each} [state]")
    return store


def session_with(
    fleet: DesiredFleet,
    connection: Connection,
    store: BlockingStore,
    flags: FleetFlags,
    output: Output,
    *,
    purpose: Purpose = Purpose.OBSERVE,
) -> Session:
    """Return a session on a connection, whose requests go over a socket or to the simulator of this process."""
    path = Path(flags.directory)
    sources = secret_sources(flags)
    connection.provider.mask(HeldSecrets(sources, (each.body.properties for each in fleet.agents.values())))
    if fleet.service.entry.is_embedded:
        from reconciler.cli.embedded import embedded

        if is_in_git(flags.state) and purpose is Purpose.CHANGE:
            make_ignored(path / STATE_DIRECTORY)
        sender = embedded(path / STATE_DIRECTORY, fleet, purpose)
        return Session(path, fleet, connection, sender, store, StandIns(sources), output)
    from reconciler.driver.rehearsal import WithoutDate, fast_clock

    host = connection.provider.host
    cache = ServiceCache(path / STATE_DIRECTORY, host, connection.project, is_ignored=is_in_git(flags.state))
    if isinstance(connection.provider, Paced) and cache.pace is not None:
        connection.provider.start_at(cache.pace)
    clock = fast_clock(host) if connector_of(fleet.service.entry).is_of_this_machine(os.environ) else None
    if clock is None:
        return Session(path, fleet, connection, http_sender, store, sources, output, cache=cache)
    output.say(f"a rehearsal: the time is the simulator's at {host}, {clock.speed:g} times as fast as ours")

    def rehearsing() -> Sender:
        return WithoutDate(http_sender())

    return Session(path, fleet, connection, rehearsing, store, sources, output, clock, cache)


def leave_no_core() -> None:
    """Disable core dumps, so that a crash cannot leave credentials from memory on a disk."""
    with suppress(ImportError, OSError, ValueError):  # Windows has neither the module nor the files
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def secret_sources(flags: FleetFlags) -> SecretSource:
    """Return a run's sources of secrets."""
    return MaskingSecretSource(SecretSources(os.environ, Path(flags.directory)))


class MaskingSecretSource:
    """`ports.SecretSource` that teaches the masker every value it returns."""

    def __init__(self, sources: SecretSource) -> None:
        self._sources = sources

    def resolve(self, references: frozenset[SecretRef]) -> Mapping[SecretRef, Secret]:
        values = self._sources.resolve(references)
        MASKER.learn_all(values.values())
        return values


def http_sender() -> HttpxSender:
    """Return a sender that teaches the masker every secret in a request, minted tokens too, before sending it."""
    from reconciler.driver.http import HttpxSender

    return HttpxSender(lambda secret: MASKER.learn(secret.reveal()))
