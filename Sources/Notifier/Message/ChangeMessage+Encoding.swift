// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

extension ChangeMessage {
    /// The JSON text, with its code.
    package func encoded(_ authenticator: MessageAuthenticator) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(384 + name.utf8.count + (value?.utf8.count ?? 0) + by.utf8.count)
        out.append(#"{"environmentId":"#)
        JSONText.append(quoted: environmentID, to: &out)
        out.append(#","name":"#)
        JSONText.append(quoted: name, to: &out)
        out.append(#","value":"#)
        if let value { JSONText.append(quoted: value, to: &out) } else { out.append("null" as StaticString) }
        out.append(isSecret ? #","isSecret":true,"op":""# : #","isSecret":false,"op":""# as StaticString)
        out.append(operation.rawValue)
        out.append(#"","revision":"#)
        out.append(decimal: revision)
        out.append(#","version":"#)
        out.append(decimal: version)
        out.append(#","first":"#)
        out.append(decimal: first)
        out.append(#","last":"#)
        out.append(decimal: last)
        out.append(#","mark":""#)
        out.append(Self.text(ofMark: mark))
        out.append(#"","at":"#)
        JSONText.append(quoted: at, to: &out)
        out.append(#","by":"#)
        JSONText.append(quoted: by, to: &out)
        out.append(#","mac":""#)
        out.append(authenticator.code(for: canonicalForm))
        out.append(#""}"#)
        return out
    }

    /// Eight hexadecimal digits.
    static func text(ofMark mark: UInt32) -> String {
        let digits = String(mark, radix: 16)
        return String(repeating: "0", count: 8 - digits.utf8.count) + digits
    }

    var canonicalForm: CanonicalForm {
        var form = CanonicalForm(kind: "keyvane change 1", capacity: 160 + name.utf8.count + (value?.utf8.count ?? 0))
        form.append(environmentID)
        form.append(name)
        form.append(value)
        form.append(isSecret ? 1 : 0)
        form.append(operation.rawValue)
        form.append(revision)
        form.append(version)
        form.append(first)
        form.append(last)
        form.append(Int64(mark))
        form.append(at)
        form.append(by)
        return form
    }
}
