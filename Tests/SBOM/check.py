# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""Holds a document of scripts/sbom to CycloneDX's schema, strictly, and to what a list of parts is for."""

import json
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

text = open(sys.argv[1], encoding="utf-8").read()
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
if error is not None:
    sys.exit(f"check-sbom: {error}")
components = json.loads(text)["components"]
names = {component["name"] for component in components}
# One of each kind that must be there: what parses requests, what encrypts, what speaks to the databases.
missing = {"hummingbird", "swift-nio", "BoringSSL", "swift-crypto", "llhttp", "libssl3", "libpq5", "libuv1", "libnghttp2-14", "swift-runtime"} - names
if missing:
    sys.exit(f"check-sbom: these are linked, and not listed: {', '.join(sorted(missing))}")
unlicensed = [component["name"] for component in components if not component.get("licenses")]
if unlicensed:
    sys.exit(f"check-sbom: no licence: {', '.join(unlicensed)}")
