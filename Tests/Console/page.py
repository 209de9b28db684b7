# Keyvane
# SPDX-License-Identifier: Apache-2.0
#
# What the checks of the console are written in: a running cluster, its REST interface, watchers that acknowledge, and a person at a browser.

import json
import threading
import time
import urllib.error
import urllib.request
from urllib.parse import quote

import websocket
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

LONG = 20


class Failed(Exception):
    pass


class Cluster:
    """A `keyvane dev`, by its state file, which is written anew whenever a process was restarted."""

    def __init__(self, path, console=None):
        self.path = path
        state = self.state()
        self.url, self.token = state["url"], state["token"]
        self.console = console or state["console"]

    def state(self):
        with open(self.path) as file:
            return json.load(file)

    def call(self, method, path, body=None, token=None, headers=None):
        """Status, fields of the head, and the JSON."""
        data = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        request.add_header("Authorization", f"Bearer {token or self.token}")
        if data is not None:
            request.add_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=LONG) as answer:
                return answer.status, answer.headers, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, error.headers, json.loads(error.read() or b"null")

    def do(self, method, path, body=None):
        status, _, answer = self.call(method, path, body)
        if status >= 300:
            raise Failed(f"{method} {path}: {status} {answer}")
        return answer

    def place(self, workspace, project, environment, name=None):
        """Made where it is missing; the path of its resources."""
        self.call("POST", "/v1/workspaces", {"slug": workspace, "name": name or workspace})
        self.call("POST", f"/v1/workspaces/{workspace}/projects", {"slug": project})
        self.call("POST", f"/v1/projects/{workspace}/{project}/environments", {"slug": environment})
        return f"/v1/projects/{workspace}/{project}/environments/{environment}"


class Watcher:
    """An application that watches, and says of each revision that it has applied it, or that it could not."""

    def __init__(self, cluster, environment, fails=None):
        self.fails = fails
        self.socket = websocket.create_connection(
            f"{cluster.url.replace('http', 'ws', 1)}/v1/watch?environment={environment}&acks=true",
            header=[f"Authorization: Bearer {cluster.token}"],
            timeout=60,
        )
        self.thread = threading.Thread(target=self.run, args=(environment,), daemon=True)
        self.thread.start()

    def run(self, environment):
        try:
            while True:
                message = json.loads(self.socket.recv())
                if message["type"] in ("snapshot", "changes"):
                    answer = {"type": "ack", "environment": environment, "revision": message["revision"], "status": "applied"}
                    if self.fails and message["type"] == "changes":
                        answer |= {"status": "failed", "message": self.fails}
                    self.socket.send(json.dumps(answer))
        except (websocket.WebSocketException, OSError, ValueError):
            return

    def close(self):
        self.socket.close()


class Person:
    """Somebody at a browser. Elements are found as a person finds them: by their role and what they say."""

    def __init__(self, cluster, size=(1360, 860), theme=None, phone=False):
        self.cluster = cluster
        options = webdriver.ChromeOptions()
        for argument in ["--headless=new", "--no-sandbox", "--disable-gpu", f"--window-size={size[0]},{size[1]}", "--disable-dev-shm-usage", "--hide-scrollbars", "--lang=en"]:
            options.add_argument(argument)
        if phone:
            options.add_experimental_option("mobileEmulation", {"deviceMetrics": {"width": 390, "height": 844, "pixelRatio": 2, "touch": True}})
        options.binary_location = "/usr/bin/chromium"
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.browser = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
        self.browser.set_page_load_timeout(LONG)
        self.browser.set_script_timeout(LONG)
        if theme:
            self.theme(theme)
        self.browser.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]})

    def theme(self, name):
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": name}]})

    # Going places

    def open(self, fragment=""):
        self.browser.get(self.cluster.console + fragment)

    def go(self, fragment):
        """Within the page: nothing is loaded anew."""
        self.script("location.hash = arguments[0]", fragment)

    def sign_in(self, token=None, fragment=""):
        self.open(fragment)
        self.field("Token").send_keys((token or self.cluster.token) + Keys.ENTER)
        self.until("signed in", lambda: self.browser.find_elements(By.CSS_SELECTOR, ".shell"))

    def entries(self, environment):
        self.go(f"#/env/{environment}/entries")
        self.until("the entries", lambda: self.text("main h1") == "Entries")
        self.live()

    def live(self):
        self.until("a live connection", lambda: self.text(".connection") == "Live")

    # Looking

    def script(self, text, *arguments):
        return self.browser.execute_script(text, *arguments)

    def all(self, css):
        return self.browser.find_elements(By.CSS_SELECTOR, css)

    def text(self, css):
        try:
            found = self.all(css)
            return found[0].text if found else None
        except StaleElementReferenceException:
            return None

    def value(self, name):
        """What the table shows for an entry; None without such a row."""
        return self.script(
            "const row = document.querySelector(`tr[data-name='${arguments[0]}']`); return row ? row.querySelector('.col-value').innerText : null", name
        )

    def until(self, what, condition, seconds=LONG):
        end = time.monotonic() + seconds
        while True:
            try:
                found = condition()
                if found:
                    return found
            except StaleElementReferenceException:
                found = None
            if time.monotonic() > end:
                raise Failed(f"waited {seconds} s for {what}")
            time.sleep(0.03)

    # Doing. The topmost dialog hides the rest, as it does for a person.

    def scope(self):
        dialogs = self.all("dialog[open]")
        return dialogs[-1] if dialogs else self.browser

    def named(self, kind, label):
        quoted = json.dumps(label)
        path = f".//{kind}[not(@hidden)][@aria-label={quoted} or normalize-space(.)={quoted} or starts-with(normalize-space(.), {quoted})]"
        found = [element for element in self.scope().find_elements(By.XPATH, path) if element.is_displayed()]
        exact = [element for element in found if element.get_attribute("aria-label") == label or element.text.strip() == label]
        return (exact or found or [None])[0]

    def button(self, label):
        return self.until(f"a button “{label}”", lambda: self.named("button", label) or self.named("a", label))

    def click(self, label):
        self.until(f"“{label}” to be pressed", lambda: self.pressed(label))

    def pressed(self, label):
        element = self.named("button", label) or self.named("a", label) or self.named("label", label)
        if element is None or not element.is_enabled():
            return False
        self.script("arguments[0].scrollIntoView({ block: 'center', behavior: 'instant' })", element)
        element.click()
        return True

    def field(self, label):
        def found():
            for one in self.scope().find_elements(By.XPATH, f".//label[starts-with(normalize-space(.), {json.dumps(label)})]"):
                if one.is_displayed() and one.get_attribute("for"):
                    return self.browser.find_element(By.ID, one.get_attribute("for"))
            return None

        return self.until(f"a field “{label}”", found)

    def fill(self, label, text):
        """Pasted, as a person does with a long text."""
        field = self.field(label)
        self.script("arguments[0].focus(); arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))", field, text)
        return field

    def keys(self, text):
        self.browser.switch_to.active_element.send_keys(text)

    def notice(self, text):
        self.until(f"a notice “{text}”", lambda: any(text in one.text for one in self.all(".toast")))

    def undo(self, text):
        """By the notice that says so; others may offer the same for something else."""
        notice = self.until(f"a notice “{text}”", lambda: next((one for one in self.all(".toast") if text in one.text), None))
        notice.find_element(By.XPATH, ".//button[normalize-space(.)='Undo']").click()

    def dialogs_closed(self):
        self.until("every dialog to be closed", lambda: not self.all("dialog[open]"))

    # Faults

    def complaints(self, expected=()):
        """What the browser has to complain about: errors of scripts, the policy's refusals, answers that nobody expected."""
        found = [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
        return [message for message in found if not any(text in message for text in expected)]

    def no_complaints(self, where, expected=()):
        found = self.complaints(expected)
        if found:
            raise Failed(f"{where}: the browser's console says {found}")

    def quit(self):
        self.browser.quit()


def entry(base, name, secret=False):
    return f"{base}/{'secrets' if secret else 'variables'}/{quote(name)}"
