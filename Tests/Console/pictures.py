# Keyvane
# SPDX-License-Identifier: Apache-2.0
#
# A picture of every view, in both themes and on a phone, with data as a real team has it. Nothing is checked here.

import time

from page import Person, Watcher, entry
from sample import dotenv

SHOP = "acme/storefront/production"


def furnish(cluster):
    """A team's workspace, some history, watchers of which one can't apply, tokens."""
    base = cluster.place("acme", "storefront", "production", name="Acme")
    if cluster.do("GET", base)["revision"]:
        return base
    for project, environment in [("storefront", "staging"), ("storefront", "preview"), ("billing", "production"), ("billing", "staging"), ("search", "production")]:
        other = cluster.place("acme", project, environment)
        cluster.do("PATCH", f"{other}/configuration", {"set": [{"name": "LOG_LEVEL", "value": "debug"}, {"name": "API_URL", "value": f"https://{environment}.acme.example"}]})
    cluster.place("labs", "notebook", "experiments")
    names = {
        "API_URL": "https://api.acme.example/v2", "CHECKOUT_TIMEOUT_MS": "2500", "DATABASE_HOST": "db-1.internal:5432", "DATABASE_POOL_SIZE": "20",
        "FEATURE_EXPRESS_CHECKOUT": "false", "FEATURE_NEW_SEARCH": "true", "LOG_LEVEL": "info", "MAX_UPLOAD_MB": "25", "REDIS_URL": "redis://cache.internal:6379/0",
        "SUPPORT_BANNER": "", "TLS_CHAIN": "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIU\n-----END CERTIFICATE-----", "LEGACY_SEARCH_URL": "https://search-old.acme.example",
        "ALLOWED_ORIGINS": '["https://acme.example","https://www.acme.example","https://shop.acme.example","https://m.acme.example"]',
    }
    secrets = {"DATABASE_PASSWORD": "correct horse battery staple", "JWT_SIGNING_KEY": "kM0cGm3n0p2v8Qz7", "STRIPE_API_KEY": "sk_live_51HxAbCdEf", "SMTP_PASSWORD": "m41l-p4ss"}
    cluster.do("PATCH", f"{base}/configuration", {"set": [{"name": name, "value": value} for name, value in names.items()] + [{"name": name, "value": value, "isSecret": True} for name, value in secrets.items()]})
    cluster.do("PUT", entry(base, "DATABASE_POOL_SIZE"), {"value": "40", "note": "Doubled for the autumn sale, back to 20 in December"})
    cluster.do("PUT", entry(base, "DATABASE_HOST"), {"value": "db-2.internal:5432", "note": "Moved to the new cluster"})
    cluster.do("PUT", entry(base, "STRIPE_API_KEY", True), {"value": "sk_live_52JyGhIjKl", "note": "Rotated"})
    cluster.do("POST", entry(base, "LEGACY_SEARCH_URL") + "/disable")
    for level in ["debug", "info"]:
        cluster.do("PUT", entry(base, "LOG_LEVEL"), {"value": level})
    cluster.do("PATCH", f"{base}/configuration", {"set": [{"name": "FEATURE_EXPRESS_CHECKOUT", "value": "true"}, {"name": "CHECKOUT_TIMEOUT_MS", "value": "4000"}], "delete": []})
    everything = ["read", "read_secrets", "write", "admin"]
    for description, grant, expiry in [
        ("Storefront servers", {"workspace": "acme", "project": "storefront", "environment": "production", "permissions": ["read", "read_secrets"]}, None),
        ("CI of the web team", {"workspace": "acme", "project": "storefront", "permissions": ["read", "write"]}, "2027-03-01T00:00:00Z"),
        ("Feature flags dashboard", {"workspace": "acme", "names": ["FEATURE_*"], "permissions": ["read", "write"]}, "2027-01-15T00:00:00Z"),
        ("Maya, on call", {"workspace": "acme", "permissions": everything}, "2026-12-24T00:00:00Z"),
    ]:
        cluster.do("POST", "/v1/tokens", {"description": description, "grants": [grant]} | ({"expiresAt": expiry} if expiry else {}))
    return base


def take(cluster, folder):
    base = furnish(cluster)
    watchers = [Watcher(cluster, SHOP) for _ in range(11)]
    watchers.append(Watcher(cluster, SHOP, fails="CHECKOUT_TIMEOUT_MS: 4000 is over the limit of 3000"))
    try:
        for theme in ["light", "dark"]:
            one(cluster, base, theme, lambda name: f"{folder}/{theme}-{name}.png", Person(cluster, theme=theme))
        one(cluster, base, "phone", lambda name: f"{folder}/phone-{name}.png", Person(cluster, theme="light", phone=True))
    finally:
        for watcher in watchers:
            watcher.close()


def one(cluster, base, kind, path, person):
    def shoot(name, wait=0.35):
        # Animations end.
        time.sleep(wait)
        person.browser.save_screenshot(path(name))

    def leave():
        person.script("document.querySelectorAll('dialog[open]').forEach((dialog) => dialog.close())")
        person.dialogs_closed()

    # Pictures can be taken again of the same cluster: what is changed for them is new each time.
    number = cluster.do("GET", base)["revision"]
    try:
        person.open()
        shoot("signin")
        person.sign_in()
        person.until("the places", lambda: person.all(".environment"))
        shoot("places")
        person.entries(SHOP)
        person.until("the rows", lambda: len(person.all("tbody tr")) > 10)
        shoot("entries")
        if kind != "phone":
            person.keys("g")
            person.until("the places to go", lambda: len(person.all(".palette-list li")) > 5)
            shoot("palette")
            leave()
            person.keys("?")
            shoot("keys")
            leave()
        person.click("Reveal STRIPE_API_KEY")
        person.until("the secret", lambda: "sk_live" in (person.value("STRIPE_API_KEY") or ""))
        person.named("button", "Hide STRIPE_API_KEY")
        shoot("revealed")
        person.click("More for DATABASE_HOST")
        shoot("menu")
        person.script("document.querySelector('.menu').remove()")
        person.click("DATABASE_HOST")
        person.fill("Value", "db-mine.internal:5432")
        shoot("entry")
        cluster.do("PUT", entry(base, "DATABASE_HOST"), {"value": f"db-{number}.internal:5432"})
        person.until("what others did", lambda: person.all(".banner-warn"))
        person.click("Save")
        person.until("the conflict", lambda: person.all(".conflict"))
        shoot("conflict")
        leave()
        person.click("DATABASE_POOL_SIZE")
        person.click("History")
        person.until("the versions", lambda: person.all(".timeline-item"))
        shoot("versions")
        leave()
        person.click("New entry")
        person.fill("Name", "PAYMENT_WEBHOOK_SECRET")
        shoot("new")
        leave()
        person.click("Import")
        person.fill("Contents", dotenv())
        shoot("import")
        person.click("Compare")
        person.until("the difference", lambda: person.all(".import-summary"))
        shoot("difference")
        leave()
        person.click("CHECKOUT_TIMEOUT_MS")
        person.fill("Value", str(4_000 + 10 * number))
        person.click("Save")
        person.until("who has applied it", lambda: "applied" in (person.text(".rollout-text") or "").lower())
        person.script("scrollTo(0, 0)")
        shoot("rollout", 0.6)
        person.go(f"#/env/{SHOP}/history")
        person.until("the history", lambda: person.all(".timeline-item"))
        person.script("document.querySelectorAll('.rollout, .toast').forEach((one) => one.remove())")
        shoot("history")
        [one for one in person.all(".timeline-item button") if "Compare" in (one.get_attribute("aria-label") or "")][3].click()
        person.until("the comparison", lambda: person.all("dialog[open] .import-group"))
        shoot("rollback")
        leave()
        person.go(f"#/env/{SHOP}/watchers")
        person.until("the watchers", lambda: person.all(".stat"))
        shoot("watchers")
        person.go("#/instances")
        person.until("the instances", lambda: person.all("tbody tr"))
        shoot("instances")
        person.go("#/tokens")
        person.until("the tokens", lambda: person.all("tbody tr"))
        shoot("tokens")
        person.click("New token")
        person.until("the scopes", lambda: len(person.all("dialog[open] option")) > 10)
        shoot("newtoken")
        leave()
        person.go("#/audit")
        person.until("the audit", lambda: person.all("tbody tr"))
        shoot("audit")
        person.entries("labs/notebook/experiments")
        person.until("nothing", lambda: person.all(".empty"))
        shoot("empty")
        for message in person.complaints(["412 (Precondition Failed)"]):
            print(f"{kind}: {message}")
    except Exception:
        person.browser.save_screenshot(path("failed"))
        raise
    finally:
        person.quit()
