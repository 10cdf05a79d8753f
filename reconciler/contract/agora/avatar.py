"""Avatars: the vendors of `avatar` and the shape of their `params`.

Facts: SDK 2.12.0 `types/*_avatar_params.py` and its builders, the pages under models/avatar. `agora_token`
is a token of the channel that is made at the moment of the join, so no vendor's row demands it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from reconciler.contract.agora.fields import API_KEY, APP_ID, CLOUD_REGION, SAMPLE_RATE
from reconciler.contract.kinds import (
    Fields,
    Path,
    address,
    explained,
    fetched,
    free,
    group,
    identifier,
    key,
    many,
    number,
    switch,
    text,
    whole,
)
from reconciler.contract.rows import slot, vendor

T = TypeVar("T")

_AVATAR_ID = identifier("The vendor's avatar.")
_AGORA_UID = identifier("The avatar's own user id in the channel, as text; nobody else may have it.")
_AGORA_TOKEN = key("RTC token for `agora_uid`. Leave it out: it is made at the join.")
_QUALITY = explained(
    "Quality of the video.", {"low": "low quality", "medium": "medium quality", "high": "high quality"}
)
_PIXELS = whole("Size of the video in pixels; width and height go together.", gt=0)

_COMMON: Fields = {"enable": switch("Whether the agent shows an avatar; default false.")}


AVATAR = slot(
    "avatar",
    "A face on video.",
    _COMMON,
    (
        vendor(
            "akool",
            "Akool; takes speech at 16000 Hz only",
            "Akool; page models/avatar/akool, and the SDK's builder, which knows no `agora_uid`",
            {
                "api_key": API_KEY,
                "agora_uid": _AGORA_UID,
                "agora_token": _AGORA_TOKEN,
                "avatar_id": _AVATAR_ID,
            },
            needs="params.api_key",
            disputed="params.agora_uid params.avatar_id",
            maker="Akool",
        ),
        vendor(
            "anam",
            "Anam",
            "Anam; SDK `AnamAvatarParams`, and the SDK's builder, which knows no `agora_uid`",
            {
                "api_key": API_KEY,
                "avatar_id": _AVATAR_ID,
                "agora_uid": _AGORA_UID,
                "agora_token": _AGORA_TOKEN,
                "sample_rate": SAMPLE_RATE,
                "quality": text("Quality of the video.", examples=["high", "medium", "low"]),
                "video_encoding": text("Encoding of the video.", examples=["H264", "AV1"]),
                "avatar_model": text("The vendor's model of the avatar."),
                "video_width": _PIXELS,
                "video_height": _PIXELS,
            },
            needs="params.api_key params.avatar_id",
            disputed="params.agora_uid",
        ),
        vendor(
            "generic",
            "Your own avatar service",
            "Your own avatar service; page models/avatar/generic and SDK `GenericAvatar`",
            {
                "api_key": API_KEY,
                "api_base_url": address("Address of the avatar service."),
                "avatar_id": _AVATAR_ID,
                "agora_uid": _AGORA_UID,
                "agora_token": _AGORA_TOKEN,
                "agora_appid": text("Agora App ID for the avatar."),
                "agora_channel": text("Channel for the avatar."),
            },
            needs="params.api_key params.api_base_url params.avatar_id params.agora_uid",
            maker="your service",
        ),
        *(
            vendor(
                name,
                "LiveAvatar (`heygen` is its old name); 24000 Hz only",
                "LiveAvatar, once HeyGen; page models/avatar/heygen and SDK `LiveAvatarAvatar`",
                {
                    "api_key": API_KEY,
                    "quality": _QUALITY,
                    "agora_uid": _AGORA_UID,
                    "agora_token": _AGORA_TOKEN,
                    "avatar_id": _AVATAR_ID,
                    "disable_idle_timeout": switch("Whether the avatar never times out."),
                    "activity_idle_timeout": whole("Quiet after which the avatar ends, in s.", ge=0),
                },
                needs="params.api_key params.quality params.agora_uid",
                host="vendor:liveavatar",
                maker="LiveAvatar",
            )
            for name in ("liveavatar", "heygen")
        ),
        vendor(
            "sensetime",
            "SenseTime",
            "SenseTime; SDK `SensetimeAvatarParams`",
            {
                "agora_token": _AGORA_TOKEN,
                "agora_uid": _AGORA_UID,
                "appId": APP_ID,
                "app_key": API_KEY,
                "sceneList": many(
                    group(
                        "A scene of SenseTime; SDK `SensetimeAvatarParamsSceneListItem`.",
                        {
                            "digital_role": group(
                                "The figure in the scene.",
                                {
                                    "face_feature_id": identifier("Id of the face."),
                                    "position": group(
                                        "Where the figure stands.",
                                        {
                                            "x": number("Place from the left."),
                                            "y": number("Place from the top."),
                                        },
                                    ),
                                    "url": fetched("Address of the figure's package."),
                                },
                            )
                        },
                    ),
                    "The scenes.",
                ),
            },
            needs="params.agora_uid params.app_key",
            disputed="params.appId params.sceneList",
            where="cn",
        ),
        vendor(
            "spatius",
            "Spatius",
            "Spatius; SDK `SpatiusAvatarParams`",
            {
                "spatius_api_key": API_KEY,
                "spatius_app_id": APP_ID,
                "spatius_avatar_id": _AVATAR_ID,
                "agora_uid": _AGORA_UID,
                "agora_token": _AGORA_TOKEN,
                "region": CLOUD_REGION,
                "sample_rate": SAMPLE_RATE,
                "session_expire_minutes": whole(
                    "Life of the avatar's session, in minutes; default 30.", gt=0
                ),
            },
            needs="params.spatius_api_key params.spatius_app_id params.spatius_avatar_id params.agora_uid",
            where="cn",
        ),
    ),
    unnamed=free("Settings over those of the pipeline."),
    unnamed_needs="vendor params",
)

# A token lives for at most 24 h, and that of an avatar cannot be renewed (v2 API reference: update).
TOKEN_LIFE: Final = 24 * 3600.0
# Vendors that accept only one sample rate of speech, in Hz, by their pages; the SDK refuses any other.
SAMPLE_RATES: Final[Mapping[str, int]] = {"akool": 16000, "heygen": 24000, "liveavatar": 24000}
# Where the vendors of tts have the sample rate; that of OpenAI's voices is fixed (its page).
RATE_PATHS: Final[tuple[Path, ...]] = (
    ("params", "sample_rate"),
    ("params", "audio_setting", "sample_rate"),
    ("params", "output_format", "sample_rate"),
    ("params", "AudioConfig", "sample_rate_hertz"),
)
FIXED_RATES: Final[Mapping[str, int]] = {"openai": 24000}

UID_PATH: Final[Path] = ("avatar", "params", "agora_uid")
TOKEN_PATH: Final[Path] = ("avatar", "params", "agora_token")
# The age by which the last agent of a spread must be rotated, so that an hourly run is early enough.
LATEST_ROTATION: Final = TOKEN_LIFE - 3600.0


def avatar_params(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the `params` of an agent's avatar; empty without an avatar, and for one that is switched off."""
    avatar = properties.get("avatar")
    if not isinstance(avatar, Mapping) or avatar.get("enable") is False:
        return {}
    params = avatar.get("params")
    return params if isinstance(params, Mapping) else {}


def avatar_uid(properties: Mapping[str, Any]) -> str | None:
    """Return the uid with which an agent's avatar joins the channel as a separate user, or None."""
    uid = avatar_params(properties).get("agora_uid")
    return uid if isinstance(uid, str) and uid else None


def session_params(
    properties: Mapping[str, Any], app_id: str, channel: str, token: T
) -> Mapping[str, T | str]:
    """Return what the join adds to an avatar's params where the files leave it out, as the SDK's session does."""
    params = avatar_params(properties)
    added: dict[str, T | str] = {"agora_token": token}
    if properties["avatar"].get("vendor") == "generic":
        added |= {"agora_appid": app_id, "agora_channel": channel}
    return {key: value for key, value in added.items() if not params.get(key)}
