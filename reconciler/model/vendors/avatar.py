"""Avatars: the vendors of `avatar` and the shape of their `params`.

Facts: SDK 2.12.0 `types/*_avatar_params.py` and its builders, the pages under models/avatar. `agora_token`
is a token of the channel and runs out, so no vendor's row demands it.
"""

from typing import Annotated, Any, Literal, Required, TypeAlias

from pydantic import Discriminator, Tag

from reconciler.model.vendors import (
    UNNAMED,
    ApiKey,
    AppId,
    Checked,
    CloudRegion,
    PassedOn,
    SampleRate,
    by_vendor,
    says,
    table,
    vendor,
)

AvatarId = Annotated[str, says("The vendor's avatar.")]
AgoraUid = Annotated[str, says("The avatar's own user id in the channel, as text; nobody else may have it.")]
AgoraToken = Annotated[str, says("RTC token for `agora_uid`; write a reference, not the value.")]
Quality = Annotated[Literal["low", "medium", "high"], says("Quality of the video.")]
Pixels = Annotated[int, says("Size of the video in pixels; width and height go together.", gt=0)]


class AvatarSlot(Checked, total=False):
    """What every avatar takes; `join` reference."""

    enable: Annotated[bool, says("Whether the agent shows an avatar; default false.")]


class UnnamedAvatar(AvatarSlot, total=False):
    """An avatar that is off, or comes from a pipeline; the reference does not demand a vendor."""

    params: Annotated[dict[str, Any], says("Settings over those of the pipeline.")]


class AkoolParams(PassedOn, total=False):
    """Akool; page models/avatar/akool."""

    api_key: ApiKey
    agora_uid: AgoraUid
    agora_token: AgoraToken
    avatar_id: AvatarId


class AkoolAvatar(AvatarSlot, total=False):
    """Akool, which takes 16000 Hz only; page models/avatar/akool."""

    vendor: Required[Annotated[Literal["akool"], says("Akool; takes speech at 16000 Hz only.")]]
    params: Annotated[AkoolParams, says("Settings for Akool.")]


class AnamParams(PassedOn, total=False):
    """Anam; SDK `AnamAvatarParams`."""

    api_key: ApiKey
    avatar_id: AvatarId
    agora_uid: AgoraUid
    agora_token: AgoraToken
    sample_rate: SampleRate
    quality: Annotated[str, says("Quality of the video.", examples=["high", "medium", "low"])]
    video_encoding: Annotated[str, says("Encoding of the video.", examples=["H264", "AV1"])]
    avatar_model: Annotated[str, says("The vendor's model of the avatar.")]
    video_width: Pixels
    video_height: Pixels


class AnamAvatar(AvatarSlot, total=False):
    """Anam; page models/avatar/anam."""

    vendor: Required[Annotated[Literal["anam"], says("Anam.")]]
    params: Annotated[AnamParams, says("Settings for Anam.")]


class GenericParams(PassedOn, total=False):
    """Your own avatar service; page models/avatar/generic and SDK `GenericAvatar`."""

    api_key: ApiKey
    api_base_url: Annotated[str, says("Address of the avatar service.")]
    avatar_id: AvatarId
    agora_uid: AgoraUid
    agora_token: AgoraToken
    agora_appid: Annotated[str, says("Agora App ID for the avatar.")]
    agora_channel: Annotated[str, says("Channel for the avatar.")]


class GenericAvatar(AvatarSlot, total=False):
    """Your own avatar service; page models/avatar/generic."""

    vendor: Required[Annotated[Literal["generic"], says("Your own avatar service.")]]
    params: Annotated[GenericParams, says("Settings for your service.")]


class LiveAvatarParams(PassedOn, total=False):
    """LiveAvatar, once HeyGen; page models/avatar/heygen and SDK `LiveAvatarAvatar`."""

    api_key: ApiKey
    quality: Quality
    agora_uid: AgoraUid
    agora_token: AgoraToken
    avatar_id: AvatarId
    disable_idle_timeout: Annotated[bool, says("Whether the avatar never times out.")]
    activity_idle_timeout: Annotated[int, says("Quiet after which the avatar ends, in s.", ge=0)]


class LiveAvatar(AvatarSlot, total=False):
    """LiveAvatar, which takes 24000 Hz only; page models/avatar/heygen."""

    vendor: Required[
        Annotated[
            Literal["liveavatar", "heygen"], says("LiveAvatar (`heygen` is its old name); 24000 Hz only.")
        ]
    ]
    params: Annotated[LiveAvatarParams, says("Settings for LiveAvatar.")]


class SensetimePosition(PassedOn, total=False):
    """Where the figure stands; SDK `…SceneListItemDigitalRolePosition`."""

    x: Annotated[float, says("Place from the left.")]
    y: Annotated[float, says("Place from the top.")]


class SensetimeRole(PassedOn, total=False):
    """A figure of SenseTime; SDK `…SceneListItemDigitalRole`."""

    face_feature_id: Annotated[str, says("Id of the face.")]
    position: Annotated[SensetimePosition, says("Where the figure stands.")]
    url: Annotated[str, says("Address of the figure's package.")]


class SensetimeScene(PassedOn, total=False):
    """A scene of SenseTime; SDK `SensetimeAvatarParamsSceneListItem`."""

    digital_role: Annotated[SensetimeRole, says("The figure in the scene.")]


class SensetimeParams(PassedOn, total=False):
    """SenseTime; SDK `SensetimeAvatarParams`."""

    agora_token: AgoraToken
    agora_uid: AgoraUid
    appId: AppId
    app_key: ApiKey
    sceneList: Annotated[list[SensetimeScene], says("The scenes.")]


class SensetimeAvatar(AvatarSlot, total=False):
    """SenseTime; SDK `SenseTimeAvatar`."""

    vendor: Required[Annotated[Literal["sensetime"], says("SenseTime; mainland China only.")]]
    params: Annotated[SensetimeParams, says("Settings for SenseTime.")]


class SpatiusParams(PassedOn, total=False):
    """Spatius; SDK `SpatiusAvatarParams`."""

    spatius_api_key: ApiKey
    spatius_app_id: AppId
    spatius_avatar_id: AvatarId
    agora_uid: AgoraUid
    agora_token: AgoraToken
    region: CloudRegion
    sample_rate: SampleRate
    session_expire_minutes: Annotated[
        int, says("Life of the avatar's session, in minutes; default 30.", gt=0)
    ]


class SpatiusAvatar(AvatarSlot, total=False):
    """Spatius; SDK `SpatiusAvatar`."""

    vendor: Required[Annotated[Literal["spatius"], says("Spatius; mainland China only.")]]
    params: Annotated[SpatiusParams, says("Settings for Spatius.")]


DEFAULT = UNNAMED

Avatar: TypeAlias = Annotated[
    Annotated[UnnamedAvatar, Tag(UNNAMED)]
    | Annotated[AkoolAvatar, Tag("akool")]
    | Annotated[AnamAvatar, Tag("anam")]
    | Annotated[GenericAvatar, Tag("generic")]
    | Annotated[LiveAvatar, Tag("liveavatar")]
    | Annotated[LiveAvatar, Tag("heygen")]
    | Annotated[SensetimeAvatar, Tag("sensetime")]
    | Annotated[SpatiusAvatar, Tag("spatius")],
    Discriminator(by_vendor(DEFAULT)),
]

VENDORS = table(
    vendor("akool", "params.api_key"),
    vendor("anam", "params.api_key params.avatar_id params.agora_uid"),
    vendor("generic", "params.api_key params.api_base_url params.avatar_id params.agora_uid"),
    vendor("liveavatar", "params.api_key params.quality params.agora_uid"),
    vendor("heygen", "params.api_key params.quality params.agora_uid", host="vendor:liveavatar"),
    vendor("sensetime", "params.agora_uid params.appId params.app_key params.sceneList", where="cn"),
    vendor(
        "spatius",
        "params.spatius_api_key params.spatius_app_id params.spatius_avatar_id params.agora_uid",
        where="cn",
    ),
)
