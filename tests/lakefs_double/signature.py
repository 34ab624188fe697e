"""AWS Signature Version 4 of a GET or HEAD request, as the S3 gateway of lakeFS checks it."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote

_HEADER = re.compile(r"AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})")


def is_signed(method: str, path: str, query: str, headers: Mapping[str, str], access_key: str, secret_key: str) -> bool:
    """Whether the Authorization header is right for this request. headers: names in small letters; path: as sent."""
    found = _HEADER.fullmatch(headers.get("authorization", ""))
    if not found:
        return False
    credential, names, signature = found.groups()
    key, day, region, service, _ = credential.split("/")
    if key != access_key:
        return False
    pairs = sorted((quote(k, "-_.~"), quote(v, "-_.~")) for k, v in parse_qsl(query, keep_blank_values=True))
    canonical = [
        method,
        path,
        "&".join(f"{k}={v}" for k, v in pairs),
        *(f"{name}:{' '.join(headers.get(name, '').split())}" for name in names.split(";")),
        "",
        names,
        headers.get("x-amz-content-sha256", ""),
    ]
    scope = f"{day}/{region}/{service}/aws4_request"
    digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{headers.get('x-amz-date', '')}\n{scope}\n{digest}"
    signing = f"AWS4{secret_key}".encode()
    for part in (day, region, service, "aws4_request"):
        signing = hmac.digest(signing, part.encode(), "sha256")
    return hmac.compare_digest(hmac.digest(signing, text.encode(), "sha256").hex(), signature)
