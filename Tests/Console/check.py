# Keyvane
# SPDX-License-Identifier: Apache-2.0
#
# The console in a real browser against a running cluster. Arguments: the cluster's state file, a folder for a picture of what failed, and
# with `--pictures` a folder for pictures of every view. Each step is a function; the first thing that isn't so ends the run with 1.

import os
import signal
import sys
import time
import urllib.request
from importlib.resources import files

from selenium.webdriver.common.keys import Keys

import pictures
from page import LONG, Cluster, Failed, Person, Watcher, entry
from sample import dotenv

PLACE = "check/web/production"
HERE = f"#/env/{PLACE}/entries"


def ensure(condition, what):
    if not condition:
        raise Failed(what)


# What is served


def served(cluster):
    for path, kind in [("", "text/html"), ("/app/main.js", "text/javascript"), ("/styles/theme.css", "text/css")]:
        with urllib.request.urlopen(cluster.console + path, timeout=LONG) as answer:
            policy = answer.headers["Content-Security-Policy"]
            ensure(answer.headers["Content-Type"].startswith(kind), f"the type of {path}: {answer.headers['Content-Type']}")
            ensure("default-src 'none'" in policy and "unsafe" not in policy, f"the policy of {path}: {policy}")
            ensure(answer.headers["X-Content-Type-Options"] == "nosniff", f"nosniff at {path}")
            body, tag = answer.read().decode(), answer.headers["ETag"]
            for host in ["http://", "https://", "//cdn"]:
                ensure(host not in body.replace("http://www.w3.org/2000/svg", ""), f"{path} names another host")
        again = urllib.request.Request(cluster.console + path, headers={"If-None-Match": tag})
        try:
            urllib.request.urlopen(again, timeout=LONG)
            raise Failed(f"{path} is sent again although it is the same")
        except urllib.error.HTTPError as error:
            ensure(error.code == 304, f"{path}: {error.code} instead of 304")


# One person


def signs_in(person):
    person.open()
    person.field("Token").send_keys("kv_wrong000_" + "x" * 43 + Keys.ENTER)
    person.until("the refusal", lambda: "unknown, revoked or expired" in (person.text(".field-fault") or ""))
    person.complaints()
    person.sign_in()
    kept = person.script("return [JSON.stringify(localStorage), location.href, document.cookie]")
    ensure(not any(person.cluster.token in text for text in kept), "the token is in the address, a cookie or the local storage")
    person.browser.refresh()
    person.until("signed in after a reload", lambda: person.all(".shell"))


def makes_an_environment(person):
    person.go("#/")
    person.until("the places", lambda: person.text("main h1") == "Environments" and person.all(".workspace"))
    person.click("New environment in web")
    person.fill("Slug", "Not A Slug")
    person.click("Create")
    person.until("the refusal", lambda: any(one.text for one in person.all("dialog .field-fault")))
    person.complaints()
    person.fill("Slug", "production")
    person.click("Create")
    person.until("the new environment", lambda: "Nothing here yet" in (person.text("main") or ""))
    person.live()


def imports(person, base):
    """200 lines are compared, looked at, and imported as one transaction; then one line changes."""
    text = dotenv(200)
    person.click("Import a .env")
    person.fill("Contents", "FINE=1\nthis is no assignment\n")
    person.click("Compare")
    person.until("the line at fault", lambda: "line 2" in " ".join(one.text for one in person.all("dialog .field-fault")))
    person.complaints()
    person.fill("Contents", text)
    person.click("Compare")
    person.until("the difference", lambda: person.all(".import-summary"))
    ensure(person.cluster.do("GET", base)["revision"] == 0, "comparing changes nothing")
    rows = len(person.all(".import-group li"))
    ensure(rows > 150, f"the difference has {rows} rows")
    ensure(person.script("return [...document.querySelectorAll('.import-group li')].find((row) => row.innerText.includes('DATABASE_PASSWORD')).querySelector('input').checked"), "a password is proposed as a secret")
    ensure("p@ss word" not in person.text("dialog"), "a secret is shown in the difference")
    person.click(f"Import {rows} changes")
    person.notice(f"{rows} changes imported")
    person.dialogs_closed()
    person.until("the rows", lambda: len(person.all("tbody tr")) == rows)
    # The page's reading of the text, which it shows, is the server's, which counts.
    mine = person.script("return import('/console/parts/dotenv.js').then((module) => Object.fromEntries(module.readDotenv(arguments[0])))", text)
    theirs = {one["name"]: one["value"] for one in person.cluster.do("GET", f"{base}/configuration")["entries"]}
    ensure(mine == theirs, f"two readings of one text: {[name for name in theirs if mine.get(name) != theirs[name]]}")
    ensure(person.cluster.do("GET", f"{base}/secrets/JWT_SECRET")["isSecret"], "JWT_SECRET is a secret")

    person.click("Import")
    person.fill("Contents", text.replace("PORT=8080", "PORT=9090"))
    person.click("Compare")
    person.until("the difference", lambda: person.all(".import-summary"))
    ensure("8080" in person.text(".import-group") and "9090" in person.text(".import-group"), "both values of what changes")
    # In between somebody else changes something: the import is compared anew, not forced.
    person.cluster.do("PUT", entry(base, "LOG_LEVEL"), {"value": "warn", "note": "meanwhile"})
    person.click("Import 1 change")
    person.until("the new difference", lambda: person.named("button", "Import 2 changes"))
    person.complaints()
    person.click("Import 2 changes")
    person.notice("2 changes imported")
    person.until("the new port", lambda: person.value("PORT") == "9090")


def sees_what_curl_does(person, base):
    """Within a second, without a reload."""
    person.script("window.untouched = true")
    for name, secret, value in [("FROM_CURL", False, "first"), ("FROM_CURL", False, "second"), ("SECRET_FROM_CURL", True, "hidden")]:
        cluster = person.cluster
        cluster.do("PUT", entry(base, name, secret), {"value": value})
        began = time.monotonic()
        expected = "••••" if secret else value
        person.until(f"{name} to be {value}", lambda: expected in (person.value(name) or ""), seconds=1)
        print(f"check-console: {name} shows up {1000 * (time.monotonic() - began):.0f} ms after curl's answer")
    person.until("the glow", lambda: person.all("tr.pulse[data-name=SECRET_FROM_CURL]"), seconds=1)
    person.cluster.do("POST", entry(base, "FROM_CURL") + "/disable")
    person.until("a disabled row", lambda: person.all("tr.is-disabled[data-name=FROM_CURL]"), seconds=1)
    person.cluster.do("DELETE", entry(base, "FROM_CURL"))
    person.until("the row to go", lambda: person.value("FROM_CURL") is None, seconds=2)
    ensure("hidden" not in person.script("return document.documentElement.outerHTML.replaceAll('visually-hidden', '').replaceAll('aria-label=\"hidden\"', '').replaceAll('aria-hidden', '')"), "the value of a secret is in the page")
    ensure(person.script("return window.untouched"), "the page was loaded anew")


def survives_its_gateway(person, base):
    name = person.script("return document.querySelector('.connection').title").removeprefix("Over ")
    gateway = next(one for one in person.cluster.state()["gateways"] if one["name"] == name)
    os.kill(gateway["pid"], signal.SIGKILL)
    person.cluster.do("PUT", entry(base, "AFTER_DEATH"), {"value": "arrives"})
    began = time.monotonic()
    person.until("what changed while the gateway was dead", lambda: person.value("AFTER_DEATH") == "arrives")
    person.live()
    print(f"check-console: {name} was killed; its page has the next change after {1000 * (time.monotonic() - began):.0f} ms")
    person.cluster.do("PUT", entry(base, "AFTER_DEATH"), {"value": "again"})
    person.until("the page to be live again", lambda: person.value("AFTER_DEATH") == "again")
    ensure(person.script("return window.untouched"), "the page was loaded anew")
    # The browser says that a socket broke; nothing else may be wrong.
    person.no_complaints("the death of a gateway", ["WebSocket connection to", "502", "503"])


def edits(person, base):
    person.script("document.activeElement.blur()")
    person.keys("/")
    person.keys("STRIPE")
    person.until("the search", lambda: len(person.all("tbody tr")) < 10)
    person.keys(Keys.ESCAPE)
    person.script("document.activeElement.blur()")
    person.keys("n")
    person.fill("Name", "BY_HAND")
    person.fill("Value", "one")
    person.keys(Keys.CONTROL + Keys.ENTER)
    person.notice("BY_HAND was added")
    person.click("BY_HAND")
    person.fill("Value", "two")
    person.fill("Note", "why not")
    person.click("Save")
    person.notice("BY_HAND was saved")
    person.until("the new value", lambda: person.value("BY_HAND") == "two")
    person.undo("BY_HAND was saved")
    person.until("the old value", lambda: person.value("BY_HAND") == "one")
    person.click("More for BY_HAND")
    person.click("Delete")
    person.until("the row to go", lambda: person.value("BY_HAND") is None)
    person.undo("BY_HAND was deleted")
    person.until("the row to be back", lambda: person.value("BY_HAND") == "one")


def reveals(person, base):
    cluster = person.cluster

    def reads():
        events = cluster.do("GET", "/v1/workspaces/check/audit?limit=200")["items"]
        return sum(event["action"] == "secret.read" and event["target"].endswith("/PIN") for event in events)

    before = reads()
    cluster.do("PUT", entry(base, "PIN", True), {"value": "1234-5678"})
    person.until("the secret's row", lambda: "••••" in (person.value("PIN") or ""))
    person.click("Reveal PIN")
    person.until("the value", lambda: person.value("PIN") == "1234-5678")
    person.click("Hide PIN")
    person.until("the mask", lambda: "••••" in person.value("PIN"))
    person.click("Copy the value of PIN")
    person.notice("PIN copied")
    ensure("••••" in person.value("PIN"), "copying shows nothing")
    ensure(person.browser.execute_async_script("navigator.clipboard.readText().then(arguments[0])") == "1234-5678", "the clipboard")

    person.until("two reads in the audit", lambda: reads() == before + 2)
    person.go("#/audit")
    person.until("the audit's rows", lambda: "Read a secret" in (person.text("main") or ""))
    person.entries(PLACE)


def rolls_back(person, base):
    for value in ["1", "2", "3"]:
        person.cluster.do("PUT", entry(base, "STEPS"), {"value": value})
    person.until("the third value", lambda: person.value("STEPS") == "3")
    person.click("STEPS")
    person.click("History")
    person.click("Restore version 1")
    person.until("the first value", lambda: person.value("STEPS") == "1")
    ensure(person.cluster.do("GET", entry(base, "STEPS"))["version"] == 4, "a rollback is a new version")
    # All of it, with the difference first.
    revision = person.cluster.do("GET", base)["revision"]
    person.cluster.do("PATCH", f"{base}/configuration", {"set": [{"name": "STEPS", "value": "wrong"}, {"name": "EXTRA", "value": "x"}], "delete": ["AFTER_DEATH"]})
    person.go(f"#/env/{PLACE}/history")
    person.until("the transaction", lambda: "removed 1" in (person.text(".timeline-item") or ""))
    person.click(f"Compare revision {revision} with now and roll back")
    text = person.until("the difference", lambda: person.text("dialog .dialog-body"))
    ensure(all(name in text for name in ["STEPS", "EXTRA", "AFTER_DEATH", "wrong"]), f"the difference: {text}")
    person.click(f"Roll back to revision {revision}")
    person.notice(f"as it was at revision {revision}")
    ensure(person.cluster.do("GET", entry(base, "STEPS"))["value"] == "1", "STEPS is back")
    ensure(person.cluster.call("GET", entry(base, "EXTRA"))[0] == 404, "EXTRA is gone")
    person.entries(PLACE)


def follows_a_rollout(person, base):
    watchers = [Watcher(person.cluster, PLACE), Watcher(person.cluster, PLACE), Watcher(person.cluster, PLACE, fails="out of range")]
    try:
        person.click("STEPS")
        person.fill("Value", "17")
        person.click("Save")
        person.until("who has applied it", lambda: "2 of 3 applications · 1 failed" in (person.text(".rollout-text") or ""))
        person.go(f"#/env/{PLACE}/watchers")
        person.until("the failure", lambda: "out of range" in (person.text("main") or ""))
        person.until("two of three", lambda: any(one.text.startswith("2/3") for one in person.all(".stat")))
        person.until("the gateways", lambda: "gateway-" in person.text("main"))
    finally:
        for watcher in watchers:
            watcher.close()
    person.entries(PLACE)


def drains(person):
    person.go("#/instances")
    person.click("Drain gateway-3")
    person.until("the question", lambda: person.all("dialog[open]"))
    person.click("Drain")
    person.until("the drain", lambda: person.named("button", "Let serve again gateway-3"))
    states = {one["name"]: one["state"] for one in person.cluster.do("GET", "/v1/instances")["items"]}
    ensure(states["gateway-3"] == "draining", f"the registry says {states}")
    person.click("Let serve again gateway-3")
    person.until("the return", lambda: person.named("button", "Drain gateway-3"))


def makes_tokens(person, other, base):
    """A narrow one: its owner sees less, and may do less."""
    person.go("#/tokens")
    person.click("New token")
    person.fill("Description", "Reader")
    person.until("the scopes", lambda: len(person.field("Where").find_elements("css selector", "option")) > 3)
    person.script("arguments[0].value = arguments[1]", person.field("Where"), PLACE)
    person.click("Make token")
    token = person.until("the text", lambda: person.script("return document.querySelector('.once input')?.value"))
    ensure(token.startswith("kv_"), "a token")
    person.click("Done")
    person.until("the new token's row", lambda: "Reader" in (person.text("main") or ""))
    ensure(token not in person.script("return document.documentElement.outerHTML"), "the token is still in the page")
    other.click("Account: Root token")
    other.click("Sign out")
    other.until("the way in", lambda: other.all(".signin"))
    ensure(other.script("return sessionStorage.getItem('keyvane.token')") is None, "the token outlives a sign-out")
    other.sign_in(token)
    other.entries(PLACE)
    other.until("the rows", lambda: len(other.all("tbody tr")) > 10)
    ensure(other.named("button", "New entry") is None, "a reader adds nothing")
    ensure(not other.named("button", "Reveal PIN").is_enabled(), "a reader reveals nothing")
    other.no_complaints("a reader")
    person.click("Revoke Reader")
    person.click("Revoke")
    person.notice("Reader was revoked")
    other.until("the end of a revoked token", lambda: other.all(".signin") or not other.go(HERE), seconds=LONG)
    other.complaints()


# Two people


def conflict(one, other, base):
    """Both edit one value. The second save is refused, both values are shown, and the person decides: no update is lost."""
    one.entries(PLACE)
    other.sign_in(fragment=HERE)
    other.entries(PLACE)
    one.cluster.do("PUT", entry(base, "SHARED"), {"value": "both start here"})
    for person in (one, other):
        person.until("the value", lambda: person.value("SHARED") == "both start here")
        person.click("SHARED")
        person.until("the drawer", lambda: person.all("dialog.entry-drawer"))
    other.fill("Value", "what the second wants")
    one.fill("Value", "what the first wants")
    one.click("Save")
    one.notice("SHARED was saved")
    other.until("a word of it", lambda: other.all(".banner-warn"))
    other.click("Save")
    other.until("the conflict", lambda: other.all(".conflict"))
    ensure(one.cluster.do("GET", entry(base, "SHARED"))["value"] == "what the first wants", "the first one's value was overwritten")
    text = other.text(".conflict")
    ensure("what the first wants" in text and "second" in text, f"both values: {text}")
    other.click("Overwrite with mine")
    other.notice("SHARED was saved")
    one.until("the second's value", lambda: one.value("SHARED") == "what the second wants")
    # And the other way: theirs is kept.
    one.click("SHARED")
    one.fill("Value", "too late")
    other.cluster.do("PUT", entry(base, "SHARED"), {"value": "from elsewhere"})
    one.click("Save")
    one.click("Keep theirs")
    ensure(one.field("Value").get_attribute("value") == "from elsewhere", "their value is in the field")
    one.keys(Keys.ESCAPE)
    one.dialogs_closed()
    ensure(one.cluster.do("GET", entry(base, "SHARED"))["value"] == "from elsewhere", "theirs is kept")
    for person in (one, other):
        person.no_complaints("a conflict", ["412 (Precondition Failed)"])


# Everybody


def obstacles(person, where):
    """What axe-core's rules of WCAG 2.1 A and AA, and its best practices, find in the page's present state."""
    if not person.script("return Boolean(window.axe)"):
        person.script((files("axe_core_python") / "axe.min.js").read_text())
    found = person.browser.execute_async_script(
        "const done = arguments[0]; axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] })"
        ".then((result) => done(result.violations.map((one) => `${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | ')}`)), (error) => done([String(error)]))"
    )
    return [f"{where}: {one}" for one in found]


def everybody_can_use_it(person, base):
    views = {"places": "#/", "entries": HERE, "history": f"#/env/{PLACE}/history", "watchers": f"#/env/{PLACE}/watchers", "instances": "#/instances", "tokens": "#/tokens", "audit": "#/audit"}
    found = []
    for theme in ["light", "dark"]:
        person.theme(theme)
        for name, fragment in views.items():
            person.go(fragment)
            person.until(f"the content of {name}", lambda: not person.all(".skeleton") and person.text("main h1"))
            person.until("rest", lambda: person.script("return document.getAnimations().every((one) => one.effect.getTiming().iterations === Infinity)"))
            found += obstacles(person, f"{name}, {theme}")
        person.entries(PLACE)
        for what, open_it in {"the drawer": lambda: person.click("STEPS"), "the import": lambda: person.click("Import"), "a new entry": lambda: person.click("New entry"), "the palette": lambda: person.keys("g")}.items():
            open_it()
            person.until(what, lambda: person.all("dialog[open]"))
            person.until("rest", lambda: person.script("return document.getAnimations().every((one) => one.effect.getTiming().iterations === Infinity)"))
            found += obstacles(person, f"{what}, {theme}")
            person.keys(Keys.ESCAPE)
            person.dialogs_closed()
            person.script("document.activeElement.blur()")
    ensure(not found, "\n  ".join(["not for everybody:", *dict.fromkeys(found)]))
    # Every control by the keyboard alone: rows by j, an entry by Enter, out by Escape, and the focus is back.
    person.keys("jjj")
    name = person.script("return document.activeElement.textContent")
    person.keys(Keys.ENTER)
    person.until("the drawer", lambda: person.text("dialog.entry-drawer h2") == name)
    person.keys(Keys.ESCAPE)
    person.dialogs_closed()
    ensure(person.script("return document.activeElement.textContent") == name, "the focus is back on the row")
    person.no_complaints("all views")


def fits_a_phone(cluster):
    person = Person(cluster, phone=True)
    try:
        person.sign_in()
        for fragment in ["#/", HERE, f"#/env/{PLACE}/history", f"#/env/{PLACE}/watchers", "#/instances", "#/tokens", "#/audit"]:
            person.go(fragment)
            person.until(f"the content of {fragment}", lambda: not person.all(".skeleton") and person.text("main h1"))
            width = person.script("return [document.documentElement.scrollWidth, innerWidth]")
            ensure(width[0] <= width[1], f"{fragment} is {width[0]} px wide on a screen of {width[1]}")
        person.entries(PLACE)
        person.click("STEPS")
        person.fill("Value", "from the phone")
        person.click("Save")
        person.until("the value", lambda: person.value("STEPS") == "from the phone")
        found = obstacles(person, "on a phone")
        ensure(not found, "\n  ".join(["not for everybody:", *found]))
        person.no_complaints("on a phone")
    finally:
        person.quit()


def run(cluster, folder):
    served(cluster)
    people = [Person(cluster), Person(cluster)]
    one, other = people
    cluster.call("POST", "/v1/workspaces", {"slug": "check"})
    cluster.call("POST", "/v1/workspaces/check/projects", {"slug": "web"})
    base = "/v1/projects/check/web/environments/production"
    steps = [
        (signs_in, one), (makes_an_environment, one), (imports, one, base), (sees_what_curl_does, one, base), (survives_its_gateway, one, base), (edits, one, base),
        (reveals, one, base), (rolls_back, one, base), (follows_a_rollout, one, base), (conflict, one, other, base), (drains, one), (makes_tokens, one, other, base),
        (everybody_can_use_it, one, base), (fits_a_phone, cluster),
    ]
    try:
        for step, *arguments in steps:
            began = time.monotonic()
            try:
                step(*arguments)
                if arguments[0] is one and step not in (survives_its_gateway,):
                    one.no_complaints(step.__name__, ["412 (Precondition Failed)"])
            except Exception as error:
                for number, person in enumerate(people):
                    person.browser.save_screenshot(f"{folder}/failed-{number}.png")
                print(f"check-console: FAILED: {step.__name__}: {error if isinstance(error, Failed) else str(error).splitlines()[0]}; see {folder}/failed-0.png and -1.png", file=sys.stderr)
                raise Failed(step.__name__) from error
            print(f"check-console: {step.__name__.replace('_', ' ')} ({time.monotonic() - began:.1f} s)")
    finally:
        for person in people:
            person.quit()


def main():
    path, folder, *rest = sys.argv[1:]
    cluster = Cluster(path, os.environ.get("KEYVANE_CONSOLE"))
    if rest:
        pictures.take(cluster, rest[0])
        print(f"check-console: pictures of every view are in {rest[0]}")
        return
    try:
        run(cluster, folder)
    except Failed:
        sys.exit(1)
    print("check-console: everything above holds, without an error in the console")


main()
