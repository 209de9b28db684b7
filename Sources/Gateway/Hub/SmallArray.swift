// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// An array whose first element needs no memory of its own: nearly every socket watches one environment. A value.
package struct SmallArray<Element>: RandomAccessCollection, MutableCollection {
    private var head: Element?
    private var tail: [Element] = []

    package init() {}

    package var startIndex: Int { 0 }
    package var endIndex: Int { head == nil ? 0 : 1 + tail.count }

    package subscript(position: Int) -> Element {
        get {
            guard position == 0 else { return tail[position - 1] }
            guard let head else { preconditionFailure("element 0 of nothing") }
            return head
        }
        set {
            if position == 0 { head = newValue } else { tail[position - 1] = newValue }
        }
    }

    package mutating func append(_ element: Element) {
        if head == nil { head = element } else { tail.append(element) }
    }

    @discardableResult
    package mutating func remove(at position: Int) -> Element {
        let removed = self[position]
        if position > 0 {
            tail.remove(at: position - 1)
        } else {
            head = tail.isEmpty ? nil : tail.removeFirst()
        }
        return removed
    }

    package mutating func removeAll() {
        head = nil
        tail = []
    }
}
