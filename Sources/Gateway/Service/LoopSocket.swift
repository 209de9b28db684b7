// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Store

/// What the loop's table asks of a connection after its upgrade, whatever it speaks. Confined to its loop.
protocol LoopSocket: AnyObject {
    /// In the loop's table, which keeps it true.
    var place: SocketTable.Place { get set }
    /// Whose watch it is; nil before a token was found good.
    var principal: Principal? { get }
    /// When the token expires, in milliseconds since 1970.
    var expiry: Int64? { get }
    /// A close frame was sent.
    var isClosing: Bool { get }
    /// Once in a round of the table.
    func heartbeat()
    /// Four times in a round.
    func check()
    func tokenEnded(_ end: TokenEnd)
    func tokenChanged(_ principal: Principal)
    /// The drain's turn to close this one.
    func sendAway(reconnectAfter milliseconds: Int)
    /// The service ends.
    func abandon()
}
