"""Fields that many of Agora's vendors share, in our own words.

Agora's own words are closed lists. A vendor's words are closed only where the vendor's page or the SDK closes them: a
new voice or model must not become an error here. Nothing is filled in: defaults are the service's own.
"""

from __future__ import annotations

from reconciler.contract.kinds import address, explained, identifier, key, number, switch, text, whole

CREDENTIAL_MODE = explained(
    "Whose credentials pay this vendor: `managed` is Agora's, `byok` yours (the service's default).",
    {"managed": "Agora's credentials pay", "byok": "your credentials pay"},
)
TEXT = text("Text, in the vendor's own terms.")
FLAG = switch("A switch of the vendor; off unless its page says otherwise.")
API_KEY = key("The vendor's API key; write a reference, not the value.")
ACCESS_ID = key("The public half of the vendor's key pair; write a reference, not the value.")
ACCESS_SECRET = key("The secret half of the vendor's key pair; write a reference, not the value.")
APP_ID = identifier("The application's id at the vendor.")
URL = address("Where the vendor is reached, when not at its usual address.")
# Vendors put the region into a host name, so the pattern allows only the characters of a region.
CLOUD_REGION = text("The vendor's cloud region, such as `eastus` or `us-east-1`.", pattern="^[A-Za-z0-9-]+$")
MODEL = identifier("The vendor's model.")
LANGUAGE = text("Language code in the vendor's spelling; goes before `asr.language`.")
SPOKEN_LANGUAGE = text("Language to speak, in the vendor's spelling.")
VOICE = identifier("The vendor's voice.")
SAMPLE_RATE = whole("Sample rate of the audio, in Hz.", gt=0)
SPEED = number("Speaking rate; 1 is normal.", gt=0)
PITCH = number("Shift of the pitch; 0 is normal.")
VOLUME = number("Loudness, on the vendor's scale.", ge=0)
