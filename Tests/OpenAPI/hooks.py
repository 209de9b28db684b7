# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""What JSON Schema can't say about a valid request, and what keeps the tester's ground under its feet.

Only requests that are meant to be valid are changed; a request that is meant to be refused goes out as it was made.
"""

import hashlib
import os
import sys

import schemathesis

sys.path.insert(0, os.path.dirname(__file__))
import seed  # noqa: E402

CONFIGURATION = "/v1/projects/{w}/{p}/environments/{e}/configuration"
# How often what the tester stands on was made anew.
generation = 0
# One document of each format that an import reads.
DOCUMENTS = {
    "json": '{"DB_HOST": "10.0.0.5", "GREETING": "hello"}',
    "yaml": 'DB_HOST: "10.0.0.5"\nGREETING: "hello"\n',
    "dotenv": "DB_HOST=10.0.0.5\nexport GREETING='hello'\n",
}


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None or case.meta.generation.mode.is_negative:
        return
    method, path, query, body = case.method.upper(), case.operation.path, case.query or {}, case.body
    if method == "PATCH" and path == CONFIGURATION:
        case.body = without_repeats(body)
    if method == "PUT" and path == CONFIGURATION:
        import_document(case)
    if isinstance(body, dict) and body.get("expiresAt"):
        body["expiresAt"] = "2099-01-31T12:00:00Z"
    if path.endswith("/rename") and body.get("name") == case.path_parameters["name"]:
        body["name"] = "RENAMED"
    # History goes only so far.
    for name in ("at", "from", "to"):
        if name in query:
            query[name] = min(int(query[name]), 2)
    if path.endswith("/rollback"):
        for name in ("revision", "version"):
            if name in body:
                body[name] = min(body[name], 1)
    if path == "/v1/connect-tokens" and "grants" in body:
        # They travel in the token, whose text has 4,096 bytes.
        body["grants"] = body["grants"][:1]
    if path.endswith("/diff"):
        # One or the other.
        if "against" in query:
            query.pop("from", None)
            query.pop("to", None)
        else:
            query.setdefault("from", 0)
    if method == "GET" and path.endswith("/changes") and query.get("wait"):
        # Whether a minute passes is not what is asked here.
        query["wait"] = min(int(query["wait"]), 1)
    if "timeout" in query:
        query["wait"] = "applied"
    if path.endswith(("/versions", "/audit")):
        # A cursor is what an answer has said; any other text is refused.
        query.pop("cursor", None)
    if case.headers and "Idempotency-Key" in case.headers:
        # The same request has the same key, and any other another one; so has the same one to an environment that was made anew.
        request = repr((generation, method, case.formatted_path, list(query.items()), case.media_type, case.body))
        case.headers["Idempotency-Key"] = hashlib.sha256(request.encode()).hexdigest()


def import_document(case):
    """A document in the format that is said, and the format said where the media type doesn't say it."""
    if case.media_type in ("application/json", "application/yaml"):
        case.query.pop("format", None)
        # An export that lacks secrets can't replace anything.
        case.body.pop("withheld", None)
        return
    if case.media_type == "application/octet-stream":
        case.query.setdefault("format", "dotenv")
    case.body = DOCUMENTS[case.query.get("format", "dotenv")]


def without_repeats(body):
    """A name may come once in `set` and `delete` together."""
    seen = set()

    def first(name):
        return not (name in seen or seen.add(name))

    return {
        **body,
        **({"set": [entry for entry in body["set"] if first(entry["name"])]} if "set" in body else {}),
        **({"delete": [name for name in body["delete"] if first(name)]} if "delete" in body else {}),
    }


@schemathesis.hook
def after_call(context, case, response):
    """Deleting is tested like everything else; afterwards it is there again."""
    global generation
    seeded = case.method.upper() == "DELETE" and (case.path_parameters or {}).get("w") == "acme"
    if seeded and response.status_code == 204 and "{name}" not in case.operation.path:
        seed.seed()
        generation += 1
