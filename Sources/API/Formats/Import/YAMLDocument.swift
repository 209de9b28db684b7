// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Reads a flat YAML map: one `NAME: value` after another at one indentation, each value a scalar of any style. The frame is read here,
/// line by line; only an entry that can hold nothing but a scalar is given to the YAML library (`YAMLScalar`). So nothing that nests,
/// repeats or refers to another place is ever built: an alias or a million brackets cost one fault. It also gives every entry its line.
/// Owned by the caller for one document that `TextDocument` has checked; linear in its length.
struct YAMLDocument {
    /// The entry that continuation lines belong to.
    private enum Pending {
        case none
        /// Its fault is told; its other lines are passed over.
        case refused
        /// Nothing after the colon, so that it is null or nested.
        case bare(name: String, line: Int)
        case scalar(name: String, line: Int, start: Int, value: Int)
    }

    let text: [UInt8]
    private var collector: ImportCollector
    private var pending = Pending.none
    /// The column of the first entry, which is that of all.
    private var indentation: Int?
    private var hasBegun = false
    private var hasEnded = false
    /// What follows can't be understood.
    private var isGivenUp = false

    static func read(_ bytes: [UInt8], into collector: inout ImportCollector) throws(FormatFault) {
        let text = try TextDocument.checked(bytes)
        var document = YAMLDocument(text: text, collector: collector)
        document.read()
        collector = document.collector
    }

    private init(text: [UInt8], collector: ImportCollector) {
        self.text = text
        self.collector = collector
    }

    private mutating func read() {
        var start = 0
        var number = 1
        while start < text.count, !isGivenUp, !collector.isFull {
            let end = TextDocument.lineEnd(of: text, from: start)
            if let character = firstForeignCharacter(start..<end) {
                refuse(
                    "has the character \(character) as itself, where versions of YAML disagree; write it as an escape in double quotes",
                    number
                )
                // Whichever entry it belongs to, that one is not to be read.
                pending = .refused
            } else {
                line(YAMLLine(text, start..<end), number)
            }
            start = TextDocument.nextLine(of: text, after: end)
            number += 1
        }
        if !isGivenUp { finishEntry(before: text.count) }
    }

    /// YAML 1.1 ends a line at the first three, 1.2 doesn't; a byte order mark within a document is ignored by some and kept by others.
    private func firstForeignCharacter(_ range: Range<Int>) -> String? {
        for index in range {
            switch text[index] {
            case 0xC2 where text[index + 1] == 0x85: return "U+0085"
            case 0xE2 where text[index + 1] == 0x80 && text[index + 2] == 0xA8: return "U+2028"
            case 0xE2 where text[index + 1] == 0x80 && text[index + 2] == 0xA9: return "U+2029"
            case 0xEF where text[index + 1] == 0xBB && text[index + 2] == 0xBF: return "U+FEFF"
            case _: continue
            }
        }
        return nil
    }

    private mutating func line(_ line: YAMLLine, _ number: Int) {
        if line.isMarker("---") {
            beginDocument(line, number)
        } else if line.isMarker("...") {
            finishEntry(before: line.start)
            hasEnded = true
        } else if line.isBlankOrComment {
            return
        } else if hasEnded {
            giveUp("begins a second document; import one document at a time", number)
        } else if line.first == UInt8(ascii: "%"), line.indentation == 0, !hasBegun {
            // The version changes nothing about scalars; tags are refused anyway.
            if !line.text.starts(with: "%YAML ".utf8) { giveUp("is a directive, which is not read; remove it", number) }
        } else {
            content(line, number)
        }
    }

    private mutating func beginDocument(_ line: YAMLLine, _ number: Int) {
        finishEntry(before: line.start)
        if hasBegun || hasEnded {
            giveUp("begins a second document; import one document at a time", number)
        } else if !line.isBlankOrComment(from: line.start + 3) {
            giveUp("has text after ---; begin the map on the next line", number)
        }
        hasBegun = true
    }

    private mutating func content(_ line: YAMLLine, _ number: Int) {
        hasBegun = true
        let column = indentation ?? line.indentation
        if line.indentation > column || (line.first == UInt8(ascii: "\t") && indentation != nil) {
            continued()
        } else if line.isListItem, continuesAsList(number) {
            return
        } else if line.indentation < column {
            finishEntry(before: line.start)
            refuse("is indented less than the first entry; give all entries the same indentation", number)
            pending = .refused
        } else {
            finishEntry(before: line.start)
            indentation = column
            entry(line, number)
        }
    }

    /// A line of the pending entry: a scalar's are read as a whole later.
    private mutating func continued() {
        if case .bare(let name, let line) = pending { refuseNested(name, line) }
    }

    /// A list may stand at its name's own indentation. False where there is no such name.
    private mutating func continuesAsList(_ number: Int) -> Bool {
        switch pending {
        case .bare(let name, let line): refuseNested(name, line)
        case .refused: break
        case .none, .scalar: return false
        }
        return true
    }

    private mutating func refuseNested(_ name: String, _ line: Int) {
        refuse(
            "gives \(FaultList.shown(name)) a map or a list, or a value that begins on the next line; a flat map holds text only",
            line
        )
        pending = .refused
    }

    private mutating func entry(_ line: YAMLLine, _ number: Int) {
        pending = .refused
        if line.isEmptyMap {
            hasEnded = true
        } else if let fault = line.faultOfWhole {
            giveUp(fault, number)
        } else {
            switch line.entry(isName: ImportCollector.isName) {
            case .fault(let detail): refuse(detail, number)
            case .bare(let name): pending = .bare(name: name, line: number)
            case .scalar(let name, let value): pending = .scalar(name: name, line: number, start: line.start, value: value)
            }
        }
    }

    /// - Parameter end: where the first line stands that isn't the entry's own.
    private mutating func finishEntry(before end: Int) {
        switch exchangePending() {
        case .none, .refused: break
        case .bare(let name, let line):
            refuse("gives \(FaultList.shown(name)) no value; write \"\" for an empty one", line)
        case .scalar(let name, let line, let start, let value):
            switch YAMLScalar.read(text[start..<end], value: value) {
            case .text(let value): collector.add(name, value, line: line)
            case .null: refuse("gives \(FaultList.shown(name)) the value null; write \"\" for an empty one", line)
            case .fault(let detail): refuse(detail, line)
            }
        }
    }

    private mutating func exchangePending() -> Pending {
        let entry = pending
        pending = .none
        return entry
    }

    private mutating func refuse(_ detail: String, _ line: Int) {
        collector.faults.add(detail, line: line)
    }

    private mutating func giveUp(_ detail: String, _ line: Int) {
        refuse(detail, line)
        isGivenUp = true
    }
}
