// Keyvane
// SPDX-License-Identifier: Apache-2.0

// One entry in a drawer: its value, its history, and what else can be done with it. A save carries the version it was made from; where
// somebody was faster, both values are shown and the person decides.

import { all, call, entryPath } from "../app/rest.js";
import { session } from "../app/session.js";
import { busy, button, field, h, replace, skeleton } from "../parts/dom.js";
import { icon } from "../parts/icons.js";
import { confirm, openDialog } from "../parts/dialog.js";
import { changeLine, difference } from "../parts/difference.js";
import { copy, toast, toastProblem } from "../parts/toast.js";
import { actor, looksSecret, time } from "../parts/format.js";
import { followRollout } from "../parts/rollout.js";

const valueArea = (text, label) => h("textarea", { class: "input mono value-area", rows: Math.min(14, Math.max(3, text.split("\n").length + 1)), spellcheck: "false", autocomplete: "off", autocapitalize: "off", "aria-label": label, value: text });

/** What a mutation answered goes into the model at once; the watch brings it to everybody else. */
function taken(model, answer, text, undo = null) {
  if (answer.data?.name) model.put(answer.data);
  toast(text, { action: undo ? { label: "Undo", run: undo } : null });
  followRollout(model.place, answer.revision);
}

/** Back to a version, only if nobody has changed it since. */
function undoTo(model, entry, version, since) {
  return async () => {
    try {
      const answer = await call("POST", `${entryPath(model.place, entry)}/rollback`, { body: { version }, ifMatch: since });
      taken(model, answer, `${entry.name} is back as it was`);
    } catch (error) {
      toastProblem(error);
    }
  };
}

export async function toggleEntry(model, entry) {
  try {
    const answer = await call("POST", `${entryPath(model.place, entry)}/${entry.enabled ? "disable" : "enable"}`, { ifMatch: entry.version });
    taken(model, answer, `${entry.name} is ${answer.data.enabled ? "enabled" : "disabled"}`, () => toggleEntry(model, answer.data));
  } catch (error) {
    toastProblem(error);
  }
}

export async function deleteEntry(model, entry) {
  try {
    const answer = await call("DELETE", entryPath(model.place, entry), { ifMatch: entry.version });
    model.remove(entry.name, Number(answer.etag) || entry.version + 1, entry.isSecret);
    taken(model, answer, `${entry.name} was deleted`, async () => {
      try {
        taken(model, await call("POST", `${entryPath(model.place, entry)}/rollback`, { body: { version: entry.version } }), `${entry.name} is back`);
      } catch (error) {
        toastProblem(error);
      }
    });
    return true;
  } catch (error) {
    toastProblem(error);
    return false;
  }
}

export function openNewEntry(model) {
  const name = h("input", { type: "text", class: "input mono", placeholder: "DATABASE_URL", maxlength: 255, autocomplete: "off", spellcheck: "false", autocapitalize: "off", autofocus: true });
  const value = valueArea("", "Value");
  const note = h("input", { type: "text", class: "input", autocomplete: "off", maxlength: 4096 });
  let chosen = null;
  const kindButtons = [false, true].map((isSecret) => h("label", { class: "choice" }, h("input", { type: "radio", name: "kind", checked: !isSecret, onchange: () => (chosen = isSecret) }), icon(isSecret ? "lock" : "text"), h("span", {}, h("strong", {}, isSecret ? "Secret" : "Variable"), h("small", {}, isSecret ? "Encrypted, hidden until revealed" : "Plain text"))));
  const radios = kindButtons.map((label) => label.querySelector("input"));
  const nameField = field("Name", name);
  const valueField = field("Value", value);
  // A suggestion, until the person has chosen.
  const suggest = () => {
    if (chosen === null) radios[looksSecret(name.value, value.value) ? 1 : 0].checked = true;
  };
  name.addEventListener("input", () => {
    nameField.refuse(null);
    suggest();
  });
  value.addEventListener("input", suggest);
  const save = button("Add entry", { kind: "primary", "data-submit": true, onclick: () => busy(save, async () => {
    const entry = { name: name.value.trim(), isSecret: radios[1].checked };
    if (!/^[A-Za-z_][A-Za-z0-9_.-]{0,254}$/.test(entry.name)) {
      nameField.refuse(entry.name ? "A name starts with a letter or _, and goes on with letters, digits, _, . or -." : "Give it a name.");
      return;
    }
    try {
      const answer = await call("PUT", entryPath(model.place, entry), { ifAbsent: true, body: { value: value.value, ...(note.value ? { note: note.value } : {}) } });
      saved = true;
      dialog.close();
      taken(model, answer, `${entry.name} was added`);
    } catch (error) {
      if (error.status === 412 || error.code === "kind_conflict") nameField.refuse("There is an entry of this name already.");
      else (error.errors?.some((fault) => fault.pointer === "/value") ? valueField : nameField).refuse(error.text);
    }
  }) });
  let saved = false;
  const dialog = openDialog({
    title: "New entry",
    subtitle: h("p", { class: "mono quiet" }, model.path),
    side: true,
    body: h("form", { class: "stack", onsubmit: (event) => { event.preventDefault(); save.click(); } }, nameField, h("fieldset", { class: "choices" }, h("legend", {}, "Kind"), kindButtons), valueField, field("Note", note, { optional: true, hint: "Why it has this value, for whoever reads it next." })),
    footer: [button("Cancel", { onclick: () => dialog.dismiss() }), save],
    guard: () => (!saved && value.value ? { title: "Leave without adding?", text: "What you typed is lost.", action: "Leave" } : null),
  });
}

export function openEntry(model, name, tab = "value") {
  let entry = model.entries.get(name);
  if (!entry) return;
  const place = model.place;
  const canWrite = session.can("write", place, name);
  const mayReveal = !entry.isSecret || session.can("read_secrets", place, name);
  let base = entry.version;
  // Null: a secret whose value nobody has asked for.
  let original = entry.isSecret ? null : entry.value;
  let finished = false;

  const area = valueArea(original ?? "", `Value of ${name}`);
  area.disabled = !canWrite;
  const note = h("input", { type: "text", class: "input", value: entry.note ?? "", autocomplete: "off", maxlength: 4096, disabled: !canWrite });
  const banner = h("div", { "aria-live": "polite" });
  const preview = h("div", { class: "preview", hidden: true });
  const facts = h("p", { class: "facts" });
  const panel = h("div", { class: "panel" });
  const save = button("Save", { kind: "primary", "data-submit": true, disabled: true, onclick: () => busy(save, store) });
  const footer = canWrite ? [h("span", { class: "hint" }, h("kbd", {}, /Mac/.test(navigator.platform) ? "⌘" : "Ctrl"), h("kbd", {}, "↵")), button("Cancel", { onclick: () => dialog.dismiss() }), save] : [button("Close", { onclick: () => dialog.dismiss() })];

  const valueChanged = () => (original === null ? area.value !== "" : area.value !== original);
  const noteChanged = () => note.value !== (entry.note ?? "");
  const isChanged = () => canWrite && !finished && (valueChanged() || noteChanged());

  function typed() {
    save.disabled = !isChanged();
    const show = original !== null && valueChanged() && original !== "";
    preview.hidden = !show;
    if (show) replace(preview, h("h3", {}, "Change"), h("pre", { class: "difference mono" }, difference(original, area.value)));
  }
  area.addEventListener("input", typed);
  note.addEventListener("input", typed);

  function drawFacts() {
    replace(facts, h("span", { class: "badge" }, entry.isSecret ? icon("lock") : icon("text"), entry.isSecret ? "Secret" : "Variable"), h("span", { class: "badge" }, `version ${entry.version}`), entry.enabled ? null : h("span", { class: "badge badge-warn" }, "disabled"), h("span", { class: "quiet" }, time(entry.updatedAt), ` by ${actor(entry.updatedBy)}`));
  }

  /** The audited route, with the person's own token. */
  async function reveal() {
    try {
      const { data } = await call("GET", entryPath(place, entry), { full: true });
      original = data.value;
      base = data.version;
      area.value = data.value;
      area.rows = Math.min(14, Math.max(3, data.value.split("\n").length + 1));
      area.placeholder = "";
      drawValue();
      typed();
      return true;
    } catch (error) {
      toastProblem(error);
      return false;
    }
  }

  function drawValue() {
    const isHidden = entry.isSecret && original === null;
    if (isHidden) area.placeholder = canWrite ? "Hidden. Type a new value to replace it." : "Hidden.";
    const show = button("Reveal", { icon: icon("eye"), small: true, disabled: !mayReveal, title: mayReveal ? "This is recorded in the audit" : "This token may not read secrets", onclick: () => busy(show, reveal) });
    const valueField = field("Value", area);
    const tools = h("div", { class: "field-tools" }, isHidden ? show : button("Copy", { icon: icon("copy"), small: true, onclick: () => copy(area.value, name) }), isHidden && mayReveal ? h("span", { class: "hint" }, "Revealing is recorded in the audit.") : null);
    replace(panel, valueField, tools, preview, field("Note", note, { optional: true, hint: canWrite ? "Why it has this value, for whoever reads it next." : null }), canWrite ? actions() : null);
  }

  function actions() {
    const item = (label, text, name, run, kind = "plain") => h("li", {}, h("div", {}, h("strong", {}, label), h("p", { class: "quiet" }, text)), button(label, { icon: icon(name), small: true, kind, onclick: run }));
    return h("details", { class: "more" }, h("summary", {}, "More"), h("ul", { class: "action-list" },
      item("Rename", "Watchers get the old name's removal and the new name in one frame.", "pencil", rename),
      entry.isSecret ? null : item("Seal", "Makes it a secret, for good. Its history stays readable in plain text.", "lock", seal),
      item(entry.enabled ? "Disable" : "Enable", entry.enabled ? "Takes it from every application, and keeps it here." : "Gives it to every application again.", entry.enabled ? "pause" : "play", async () => { await toggleEntry(model, model.entries.get(name) ?? entry); end(); }),
      item("Delete", "Can be undone: its history stays.", "trash", async () => { if (await deleteEntry(model, model.entries.get(name) ?? entry)) end(); }, "danger")));
  }

  function end() {
    finished = true;
    dialog.close();
  }

  async function rename() {
    const input = h("input", { type: "text", class: "input mono", value: name, maxlength: 255, autocomplete: "off", spellcheck: "false", autofocus: true });
    const inputField = field("New name", input);
    const apply = button("Rename", { kind: "primary", "data-submit": true, onclick: () => busy(apply, async () => {
      try {
        const answer = await call("POST", `${entryPath(place, entry)}/rename`, { body: { name: input.value.trim() }, ifMatch: entry.version, full: true });
        asked.close();
        end();
        model.remove(name, entry.version + 1, entry.isSecret);
        taken(model, answer, `${name} is now ${answer.data.name}`);
      } catch (error) {
        inputField.refuse(error.text);
      }
    }) });
    const asked = openDialog({ title: `Rename ${name}`, body: h("form", { onsubmit: (event) => { event.preventDefault(); apply.click(); } }, inputField), footer: [button("Cancel", { onclick: () => asked.close() }), apply] });
    input.select();
  }

  async function seal() {
    if (!(await confirm({ title: `Make ${name} a secret?`, text: "From now on it is encrypted and hidden. A secret can't be made a variable again.", action: "Seal" }))) return;
    try {
      const answer = await call("POST", `${entryPath(place, entry)}/seal`, { ifMatch: entry.version });
      end();
      taken(model, answer, `${name} is a secret now`);
    } catch (error) {
      toastProblem(error);
    }
  }

  async function store() {
    if (!isChanged()) return;
    const before = entry;
    // A note alone goes with the value as it is, which for a hidden secret has to be read first.
    if (entry.isSecret && original === null && area.value === "" && !(await reveal())) return;
    const body = { value: area.value, ...(noteChanged() ? { note: note.value || null } : {}) };
    try {
      const answer = await call("PUT", entryPath(place, entry), { body, ifMatch: base });
      end();
      taken(model, answer, `${name} was saved`, undoTo(model, entry, before.version, answer.data.version));
    } catch (error) {
      if (error.status === 412) conflict(error);
      else toastProblem(error);
    }
  }

  /** Somebody was faster. Nothing is overwritten before the person has seen both. */
  function conflict(error) {
    const theirs = error.current;
    if (!theirs) {
      replace(banner, h("div", { class: "banner banner-warn" }, icon("alert"), h("div", {}, h("strong", {}, "It was deleted meanwhile."), h("p", {}, "Copy what you typed if you need it, then close this."))));
      return;
    }
    const mine = area.value;
    const shown = !theirs.isSecret && theirs.value !== null;
    const mineBox = shown ? h("pre", { class: "difference mono" }, difference(theirs.value, mine)) : h("p", { class: "masked" }, "••••••••");
    const takeMine = button("Overwrite with mine", { kind: "danger", onclick: () => busy(takeMine, async () => {
      base = theirs.version;
      await store();
    }) });
    const takeTheirs = button("Keep theirs", { kind: "primary", onclick: () => {
      entry = theirs;
      base = theirs.version;
      original = theirs.isSecret ? null : theirs.value;
      area.value = original ?? "";
      note.value = theirs.note ?? "";
      model.put(theirs);
      replace(banner);
      drawFacts();
      drawValue();
      typed();
      area.focus();
    } });
    const box = h("section", { class: "conflict", "aria-label": "Conflict", role: "alert" },
      h("header", {}, icon("alert"), h("div", {}, h("h3", {}, "Somebody else changed it while you were editing"), h("p", {}, "Your save was refused, so nothing is lost. Which value shall it have?"))),
      h("div", { class: "conflict-sides" },
        h("div", {}, h("h4", {}, `Theirs · version ${theirs.version}`), h("p", { class: "quiet" }, time(theirs.updatedAt), ` by ${actor(theirs.updatedBy)}`), shown ? h("pre", { class: "mono" }, theirs.value) : h("p", { class: "masked" }, "••••••••")),
        h("div", {}, h("h4", {}, "Yours · not saved"), h("p", { class: "quiet" }, shown ? "compared with theirs" : "secret"), mineBox)),
      h("div", { class: "actions" }, takeTheirs, takeMine));
    replace(banner, box);
    preview.hidden = true;
    box.scrollIntoView({ block: "nearest" });
    takeTheirs.focus();
  }

  /** While it is open: what others do to it is told, and taken over where nothing was typed. */
  function changed(event) {
    const op = event.detail.get(name);
    if (!op || finished) return;
    const next = model.entries.get(name);
    if (op === "delete" || !next) {
      replace(banner, h("div", { class: "banner banner-warn" }, icon("alert"), h("span", {}, "This entry was deleted just now.")));
      return;
    }
    if (next.version === entry.version) {
      entry = { ...entry, note: next.note };
      return;
    }
    if (!isChanged()) {
      entry = next;
      base = next.version;
      original = next.isSecret ? null : next.value;
      area.value = original ?? "";
      note.value = next.note ?? "";
      drawFacts();
      if (tab === "value") drawValue();
      else drawHistory();
    } else if (!banner.querySelector(".conflict")) {
      replace(banner, h("div", { class: "banner banner-warn" }, icon("alert"), h("span", {}, `${actor(next.updatedBy)} changed it just now. Saving will ask you which value to keep.`)));
    }
  }

  const ended = new AbortController();
  async function drawHistory() {
    replace(panel, skeleton(5));
    try {
      const versions = await all(`${entryPath(place, entry)}/versions`, { signal: ended.signal });
      if (tab !== "history") return;
      const verbs = { set: "Set", delete: "Deleted", disable: "Disabled", enable: "Enabled" };
      replace(panel, h("ol", { class: "timeline" }, versions.map((version, index) => {
        const before = versions[index + 1];
        const restore = canWrite && index > 0 && version.op !== "delete" ? button("Restore", { icon: icon("back"), small: true, "aria-label": `Restore version ${version.version}`, onclick: () => busy(restore, () => back(version)) }) : null;
        const line = version.op === "delete" ? changeLine(before?.value ?? null, null, { isSecret: entry.isSecret })
          : version.op === "set" && before?.value === version.value && !entry.isSecret ? h("p", { class: "quiet" }, "the same value; its note changed")
          : entry.isSecret || !before || before.value === null ? changeLine(null, version.value ?? "", { isSecret: entry.isSecret })
          : version.op === "set" ? h("pre", { class: "difference mono" }, difference(before.value, version.value)) : null;
        return h("li", { class: "timeline-item" },
          h("header", {}, h("strong", {}, verbs[version.op] ?? version.op), h("span", { class: "badge" }, `v${version.version}`), index === 0 ? h("span", { class: "badge badge-good" }, "now") : null, h("span", { class: "quiet" }, time(version.at), ` by ${actor(version.by)} · revision ${version.revision}`), h("div", { class: "spacer" }), restore),
          line, version.note ? h("p", { class: "note" }, version.note) : null);
      })));
    } catch (error) {
      if (error.name !== "AbortError") replace(panel, h("p", { class: "quiet" }, error.message));
    }
  }

  async function back(version) {
    try {
      const answer = await call("POST", `${entryPath(place, entry)}/rollback`, { body: { version: version.version }, ifMatch: entry.version });
      end();
      taken(model, answer, `${name} has its value of version ${version.version} again`, undoTo(model, entry, entry.version, answer.data.version));
    } catch (error) {
      if (error.status === 412) toast("It has changed meanwhile. Look at its history again.", { kind: "bad" });
      else toastProblem(error);
    }
  }

  const tabButtons = ["value", "history"].map((key) => h("button", { type: "button", role: "tab", id: `tab-${key}`, "aria-controls": "entry-panel", class: "tab", onclick: () => choose(key) }, key === "value" ? "Value" : "History"));
  panel.id = "entry-panel";
  panel.setAttribute("role", "tabpanel");
  const tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Parts of the entry", onkeydown: (event) => {
    if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
      choose(tab === "value" ? "history" : "value");
      tabButtons.find((one) => one.getAttribute("aria-selected") === "true").focus();
    }
  } }, tabButtons);

  function choose(key) {
    tab = key;
    tabButtons.forEach((one, index) => {
      const isChosen = ["value", "history"][index] === key;
      one.setAttribute("aria-selected", String(isChosen));
      one.tabIndex = isChosen ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", `tab-${key}`);
    save.hidden = key !== "value";
    if (key === "value") {
      drawValue();
      typed();
    } else drawHistory();
  }

  model.addEventListener("entries", changed);
  const dialog = openDialog({
    title: name,
    subtitle: facts,
    side: true,
    body: h("div", { class: "stack" }, banner, tabs, panel),
    footer,
    guard: () => (isChanged() ? { title: "Leave without saving?", text: `What you changed in ${name} is lost.`, action: "Leave", kind: "danger" } : null),
    onclose: () => {
      ended.abort();
      model.removeEventListener("entries", changed);
    },
  });
  dialog.classList.add("entry-drawer");
  drawFacts();
  choose(tab);
  if (tab === "value" && canWrite) area.focus();
}
