"""Rules for avatars. An avatar is a second user of the channel: whom the agent hears, its token, its agent's life."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.config.rules.registry import Subject, agent_rule
from reconciler.contract.agora.avatar import (
    FIXED_RATES,
    LATEST_ROTATION,
    RATE_PATHS,
    SAMPLE_RATES,
    TOKEN_LIFE,
    TOKEN_PATH,
    avatar_params,
    avatar_uid,
)
from reconciler.diagnostics import Problem, warning
from reconciler.durations import spelled
from reconciler.model.spec import Lifecycle
from reconciler.model.tree import Path, dotted, value_at


@agent_rule("avatar")
def hears_everybody(subject: Subject) -> Iterator[Problem]:
    """Warn if an agent with an avatar hears all users: it must name the one user whom it hears."""
    if avatar_params(subject.properties) and subject.properties.get("remote_rtc_uids") == ["*"]:
        yield warning(
            "avatar-remote-uids",
            'remote_rtc_uids is ["*"] beside an avatar',
            ("properties", "remote_rtc_uids"),
            "write the uid of the user whom the agent hears",
            "two sources say that it must be one uid; the avatar is a user of the channel, too",
        )


@agent_rule("avatar")
def token(subject: Subject) -> Iterator[Problem]:
    """Warn about a written token of an avatar: it is made at each join, for the avatar's uid and channel."""
    if avatar_params(subject.properties).get(str(TOKEN_PATH[-1])):
        yield warning(
            "avatar-token",
            f"{dotted(TOKEN_PATH)} is one token for whatever channel, and runs out unseen",
            ("properties", *TOKEN_PATH),
            "leave it out: it is made at each join, for the uid of the avatar",
            f"a token is good for one channel and at most {spelled(TOKEN_LIFE)}",
        )


@agent_rule("avatar")
def life(subject: Subject) -> Iterator[Problem]:
    """Report an agent that is rotated only after the token of its avatar has run out."""
    life = subject.spec.lifecycle
    last = life.rotate_after + life.rotate_spread
    if avatar_uid(subject.properties) is None or last <= LATEST_ROTATION:
        return
    together = (
        f" and rotate_spread give {spelled(last)} together" if life.rotate_spread else f" is {spelled(last)}"
    )
    yield Problem(
        "avatar-life",
        f"rotate_after{together}, longer than the token of the avatar lives",
        ("lifecycle", "rotate_spread" if life.rotate_after < LATEST_ROTATION else "rotate_after"),
        f"write lifecycle: {{rotate_after: {spelled(LATEST_ROTATION - Lifecycle().rotate_spread)}}}; rotate_after and "
        f"rotate_spread may be {spelled(LATEST_ROTATION)} together",
        f"an avatar's token lives for {spelled(TOKEN_LIFE)} and cannot be renewed on a running agent",
    )


@agent_rule("avatar")
def sample_rate(subject: Subject) -> Iterator[Problem]:
    """Report speech at another sample rate than the avatar's vendor accepts."""
    avatar, tts = subject.part("avatar"), subject.part("tts")
    wanted = SAMPLE_RATES.get(str(avatar.get("vendor")))
    if wanted is None or not avatar_params(subject.properties):
        return
    for path in RATE_PATHS:
        rate = value_at(tts, path)
        if isinstance(rate, int) and rate != wanted:
            yield _other_rate(avatar["vendor"], wanted, rate, ("tts", *path))
    fixed = FIXED_RATES.get(str(tts.get("vendor")), wanted)
    if fixed != wanted:
        yield _other_rate(avatar["vendor"], wanted, fixed, ("tts", "vendor"))


def _other_rate(vendor: str, wanted: int, rate: int, path: Path) -> Problem:
    is_fixed = path[-1] == "vendor"
    return Problem(
        "avatar-sample-rate",
        f"{dotted(path)}{': its voices have' if is_fixed else ' is'} {rate} Hz; the avatar's vendor {vendor} takes "
        f"{wanted} Hz only",
        ("properties", *path),
        "choose another voice or avatar" if is_fixed else f"write {wanted}",
        "the vendor's page and its SDK refuse another one",
    )
