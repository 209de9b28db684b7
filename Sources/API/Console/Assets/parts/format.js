// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Times, people and numbers as a reader likes them.

import { h } from "./dom.js";

const relative = new Intl.RelativeTimeFormat("en", { numeric: "always", style: "narrow" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const steps = [
    [60, "second", 1],
    [3_600, "minute", 60],
    [86_400, "hour", 3_600],
    [2_592_000, "day", 86_400],
    [31_536_000, "month", 2_592_000],
    [Infinity, "year", 31_536_000],
];

export function ago(date) {
    const seconds = (new Date(date).getTime() - Date.now()) / 1000;
    if (Math.abs(seconds) < 5) return "just now";
    const [, unit, size] = steps.find(([limit]) => Math.abs(seconds) < limit);
    return relative.format(Math.round(seconds / size), unit);
}

/** A time that stays right while the page is open. */
export function time(date) {
    return h("time", { datetime: date, title: exact.format(new Date(date)), class: "time" }, ago(date));
}

setInterval(() => {
    for (const element of document.querySelectorAll("time.time")) {
        const text = ago(element.dateTime);
        if (element.textContent !== text) element.textContent = text;
    }
}, 10_000);

export const actor = (text) => (text ?? "").replace(/^token:/, "");

export const count = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

const secretWord =
    /(^|[_.-])(PASSWORD|PASSWD|PASSPHRASE|PWD|PASS|SECRET|TOKEN|CREDENTIALS?|PRIVATE|APIKEY|SALT|SIGNATURE|DSN|WEBHOOK)($|[_.\d-])/i;
const secretKey = /(^|[_.-])(API|ACCESS|SECRET|PRIVATE|SIGNING|ENCRYPTION|MASTER|AUTH)[_.-]?KEY/i;
const setting = /PUBLIC|_(TTL|EXPIR|LENGTH|ENABLED|NAME|URL|TIMEOUT|HEADER|MINUTES|HOURS|DAYS|SECONDS)/i;
const secretValue = /^[a-z][a-z0-9+.-]*:\/\/[^/\s:@]*:[^@/\s]+@|-----BEGIN [A-Z ]*PRIVATE KEY/i;

/** Sealing what looks like a secret, by its name or by a password in its value, is suggested, never done unasked. */
export const looksSecret = (name, value = "") =>
    secretValue.test(value) || ((secretWord.test(name) || secretKey.test(name) || /PASSWORD|SECRET/i.test(name)) && !setting.test(name));
