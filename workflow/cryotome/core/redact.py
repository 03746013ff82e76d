"""Secrets removed from text before it is written to a log or shown."""

import os
import re

SHORTEST = 6  # characters of a token; less would star out words


# what a server or a library may echo: tokens of the hub, headers, addresses with a password
SECRET = re.compile(
    r"\bhf_\w{6,}|(?<=earer )[\w.~+/=-]{6,}|(?<=://)[^/\s@]+(?=@)"
    r"|(?<=[?&]token=)[^&\s\"']+|(?<=[?&]access_token=)[^&\s\"']+|(?<=[?&]key=)[^&\s\"']+"
    r"|(?<=ignature=)[^&\s\"']+|(?<=[?&]sig=)[^&\s\"']+"
    r"|(?<=asic )(?=[a-z+/]*[\dA-Z=])[\w+/=-]{6,}"
)


TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_API_TOKEN", "HUGGINGFACE_TOKEN")


def without_secrets(text: str) -> str:
    """Return a text with tokens and passwords starred out.

    >>> without_secrets("Authorization: Bearer hf_abcdefgh, https://me:word@host/x?token=a1b2")
    'Authorization: Bearer ***, https://***@host/x?token=***'
    """
    for name in TOKENS:
        if len(os.environ.get(name, "")) >= SHORTEST:
            text = text.replace(os.environ[name], "***")
    return SECRET.sub("***", text)
