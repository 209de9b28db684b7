# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""What the API tester finds when it starts, and again after it has deleted any of it."""

import json
import os
import urllib.error
import urllib.request

ENVIRONMENTS = "/v1/projects/acme/web/environments"
VARIABLES = ["DB_HOST", "DB_PORT", "FEATURE_A", "FEATURE_B", "GREETING", "LIMIT"]
SECRETS = ["DB_PASSWORD", "API_KEY"]


def call(method, path, body=None):
    """Status and JSON of one request with the root token; a refusal is an answer like any other."""
    request = urllib.request.Request(os.environ["KEYVANE_API"] + path, method=method)
    request.add_header("Authorization", "Bearer " + os.environ["KEYVANE_TOKEN"])
    data = None
    if body is not None:
        data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, data, timeout=30) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


def require(allowed, method, path, body):
    status, answer = call(method, path, body)
    if status not in allowed:
        raise SystemExit(f"seed: {method} {path} answered {status}: {answer}")


def seed():
    # 409: it is there already.
    require((201, 409), "POST", "/v1/workspaces", {"slug": "acme"})
    require((201, 409), "POST", "/v1/workspaces/acme/projects", {"slug": "web"})
    for environment in ("production", "staging"):
        require((201, 409), "POST", ENVIRONMENTS, {"slug": environment})
        configuration = f"{ENVIRONMENTS}/{environment}/configuration"
        # Twice, so that entries have a version to go back to; one entry differs between the two environments.
        for value in ("1", "2" if environment == "staging" else "3"):
            changes = [{"name": name, "value": value} for name in VARIABLES]
            changes += [{"name": name, "value": value, "isSecret": True} for name in SECRETS]
            # 409: by now a name is of the other kind, and serves as well.
            require((200, 409), "PATCH", configuration, {"set": changes})


if __name__ == "__main__":
    seed()
