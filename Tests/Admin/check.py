# Keyvane
# SPDX-License-Identifier: Apache-2.0
#
# The balancer's pages in a real browser, against a running cluster: each is looked at, a server is drained by clicking, its traffic goes
# elsewhere, and it is brought back. Arguments: the cluster's state file, a folder for screenshots. Exits 1 at the first thing that isn't so.

import json
import sys
import time
import urllib.request

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

LONG = 20

state = json.load(open(sys.argv[1]))
folder = sys.argv[2]
admin, url = state["admin"], state["url"]


def check(condition, what):
    if not condition:
        browser.save_screenshot(f"{folder}/failed.png")
        print(f"check-admin: FAILED: {what}; see {folder}/failed.png", file=sys.stderr)
        sys.exit(1)


def get(address):
    with urllib.request.urlopen(address, timeout=LONG) as answer:
        return answer.read().decode()


def servers():
    return {server["name"]: server for server in json.loads(get(f"{admin}/v1/servers"))["items"]}


def button(label):
    return browser.find_element(By.CSS_SELECTOR, f'button[aria-label="{label}"]')


def state_of(server):
    return browser.find_element(By.ID, server).find_element(By.CSS_SELECTOR, ".badge").text


def no_errors(place):
    found = [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    check(not found, f"{place}: the browser's console says {found}")


def until(what, condition):
    end = time.monotonic() + LONG
    while not condition():
        check(time.monotonic() < end, what)
        time.sleep(0.05)


options = webdriver.ChromeOptions()
for argument in ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1500,1000", "--disable-dev-shm-usage"]:
    options.add_argument(argument)
options.binary_location = "/usr/bin/chromium"
options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
browser = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
try:
    browser.set_page_load_timeout(LONG)
    for path, title in [("/stats", "Statistics"), ("/server-status", "Process"), ("/balancer-manager", "Balancer manager")]:
        browser.get(admin + path)
        check(browser.title == title and browser.find_element(By.TAG_NAME, "h1").text == title, f"the title of {path}")
        check(browser.find_element(By.CSS_SELECTOR, "nav [aria-current=page]").is_displayed(), f"the place of {path} in the navigation")
        # The stylesheet's hash is the one that the policy allows, or nothing would have a colour.
        card = browser.find_element(By.CSS_SELECTOR, ".badge")
        check(card.value_of_css_property("border-top-left-radius") != "0px", f"the stylesheet of {path}")
        no_errors(path)
        browser.save_screenshot(f"{folder}/{title.split()[-1].lower()}.png")

    # Drained by a click.
    names = [server["name"] for server in servers().values() if server["pool"] == "api"]
    check(len(names) == 2, f"two APIs, not {names}")
    name, other = names
    button(f"Drain api/{name}").click()
    WebDriverWait(browser, LONG).until(lambda page: f"api/{name} was changed" in page.page_source)
    check(state_of(f"api/{name}") in ("Drain", "Drained"), "the drain's badge")
    check(button(f"Drain api/{name}").get_attribute("aria-pressed") == "true", "the pressed button")
    no_errors("the drain")
    browser.save_screenshot(f"{folder}/drain.png")
    # What came before may still be under way.
    until("no request at the drained server", lambda: servers()[name]["exchanges"] == 0)
    before = servers()
    for _ in range(20):
        get(f"{url}/openapi.yaml")
    after = servers()
    check(after[name]["requests"] == before[name]["requests"], "new clients still come to the drained server")
    check(after[other]["requests"] >= before[other]["requests"] + 20, "the other server has the traffic")

    # A value by the keyboard.
    field = browser.find_element(By.CSS_SELECTOR, f'input[aria-label="Weight of api/{other}"]')
    field.clear()
    field.send_keys("7")
    button(f"Save the values of api/{other}").click()
    until("the new weight", lambda: servers()[other]["weight"] == 7)

    # And back.
    button(f"Ready api/{name}").click()
    until("the server to be ready", lambda: servers()[name]["administrativeState"] == "ready")
    WebDriverWait(browser, LONG).until(lambda page: state_of(f"api/{name}") == "Up")
    no_errors("the way back")

    def served():
        get(f"{url}/openapi.yaml")
        return servers()[name]["requests"] > after[name]["requests"]

    until("traffic at the server that is back", served)
finally:
    browser.quit()
print("check-admin: three pages, a drain, a weight and a return by clicking, without an error in the console")
