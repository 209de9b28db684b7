// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Reads dotenv by the rules of the server's import, to show values beside the names that its dry run answers. The server's reading is the one
// that counts: the pasted text is what is sent, and its faults are the ones that are shown.

const isBlank = (character) => character === " " || character === "\t";
const isBreak = (character) => character === "\n" || character === "\r";
const escapes = { n: "\n", r: "\r", t: "\t", '"': '"', "\\": "\\", $: "$" };

/** Map of name to value. Lines that are no assignments are passed over. */
export function readDotenv(source) {
    const text = source.replace(/^\uFEFF/, "");
    const found = new Map();
    let at = 0;

    const lineEnd = (from) => {
        let end = from;
        while (end < text.length && !isBreak(text[end])) end += 1;
        return end;
    };
    const after = (end) => (text[end] === "\r" && text[end + 1] === "\n" ? end + 2 : end + 1);
    const skipLine = () => (at = after(lineEnd(at)));
    const skipBlanks = () => {
        while (isBlank(text[at])) at += 1;
    };

    const quoted = () => {
        const quote = text[at];
        let value = "";
        for (let index = at + 1; index < text.length;) {
            const character = text[index];
            if (character === quote) {
                at = index + 1;
                skipLine();
                return value;
            }
            if (isBreak(character)) {
                value += "\n";
                index = after(index);
            } else if (character === "\\" && quote === '"' && text[index + 1] in escapes) {
                value += escapes[text[index + 1]];
                index += 2;
            } else {
                value += character;
                index += 1;
            }
        }
        skipLine();
        return null;
    };

    // A `#` starts a comment only after a blank, so that colours and fragments of addresses stay whole.
    const plain = () => {
        const end = lineEnd(at);
        let stop = at;
        while (stop < end && !(text[stop] === "#" && isBlank(text[stop - 1]))) stop += 1;
        const value = text.slice(at, stop).replace(/[ \t]+$/, "");
        skipLine();
        return value;
    };

    while (at < text.length) {
        skipBlanks();
        if (at >= text.length) break;
        if (isBreak(text[at]) || text[at] === "#") {
            skipLine();
            continue;
        }
        const end = lineEnd(at);
        const exported = /^export[ \t]+(?=[^= \t])/.exec(text.slice(at, end));
        if (exported) at += exported[0].length;
        const equals = text.indexOf("=", at);
        const name = equals < 0 || equals >= end ? "" : text.slice(at, equals).replace(/[ \t]+$/, "");
        if (!/^[A-Za-z_][A-Za-z0-9_.-]{0,254}$/.test(name)) {
            skipLine();
            continue;
        }
        at = equals + 1;
        skipBlanks();
        const value = at < text.length && "'\"`".includes(text[at]) ? quoted() : plain();
        if (value !== null) found.set(name, value);
    }
    return found;
}
