"""The service's own `properties`, as the user writes them: checked, described, and known by path.

`Properties` checks a rendered tree and yields the JSON Schema that editors use; nothing is read from its
result, because the tree itself is what is sent, digested and compared. Beside it stand tables about paths:
credentials, addresses, vendors, regions, templates. What may change on a running agent is not known here
(`model.ability`).
"""

from typing import Generic, TypeVar

from pydantic import ConfigDict, RootModel

from reconciler.model.properties.catalogue import (
    CN_DEFAULTS,
    CN_ONLY,
    CN_VENDORS,
    DEFAULT_VENDOR,
    PRESETS,
    PREVIEW_ONLY,
    REQUIRED_PARAMS,
    SLOTS,
    VENDORS,
    missing_params,
    preset_slots,
    vendor_of,
)
from reconciler.model.properties.destinations import VENDOR_HOSTS, secret_destination
from reconciler.model.properties.paths import (
    DEPRECATED_PATHS,
    DEPRECATED_VALUES,
    REMOVED_PATHS,
    RUNTIME_TEMPLATE_PATHS,
    TOOL_TEMPLATE_PATHS,
    UNKNOWN_KEY,
    UNKNOWN_VENDOR,
    VENDOR_NOT_TEXT,
    is_passed_on,
    is_template,
    known_keys,
    user_path,
)
from reconciler.model.properties.secrets import (
    CREDENTIAL_PATHS,
    HEADER_PATHS,
    URL_PATHS,
    credential_paths,
    is_credential_header,
    is_header_path,
    url_paths,
)
from reconciler.model.properties.shape import PropertiesTree
from reconciler.model.vendors import Slot

_Shape = TypeVar("_Shape")


class _Lazy(RootModel[_Shape], Generic[_Shape]):
    """A check that is built when first used: importing must stay cheap."""

    model_config = ConfigDict(defer_build=True, strict=True, hide_input_in_errors=True)


class Properties(_Lazy[PropertiesTree]):
    """What one agent is, in the words of the service's `join` (v2, engine 2.10; SDK 2.12.0)."""

    model_config = ConfigDict(title="Properties")


__all__ = [
    "CN_DEFAULTS",
    "CN_ONLY",
    "CN_VENDORS",
    "CREDENTIAL_PATHS",
    "DEFAULT_VENDOR",
    "DEPRECATED_PATHS",
    "DEPRECATED_VALUES",
    "HEADER_PATHS",
    "PRESETS",
    "PREVIEW_ONLY",
    "REMOVED_PATHS",
    "REQUIRED_PARAMS",
    "RUNTIME_TEMPLATE_PATHS",
    "SLOTS",
    "TOOL_TEMPLATE_PATHS",
    "UNKNOWN_KEY",
    "UNKNOWN_VENDOR",
    "URL_PATHS",
    "VENDORS",
    "VENDOR_HOSTS",
    "VENDOR_NOT_TEXT",
    "Properties",
    "PropertiesTree",
    "Slot",
    "credential_paths",
    "is_credential_header",
    "is_header_path",
    "is_passed_on",
    "is_template",
    "known_keys",
    "missing_params",
    "preset_slots",
    "secret_destination",
    "url_paths",
    "user_path",
    "vendor_of",
]
