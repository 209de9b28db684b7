// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Wire

/// The client's side: the request's body, and what happens to the client meanwhile.
extension Exchange {
    func clientReceived(_ bytes: Span<UInt8>) {
        // The next request, or a tunnel's bytes before there is a tunnel: they wait.
        guard !isUpgrade, !machine.isRequestComplete else {
            client.stash(bytes)
            return
        }
        var consumed = bytes.count
        do throws(HTTPFault) {
            if case .complete(let used) = try requestBody.advance(bytes) { consumed = used }
        } catch {
            bodyBroken(error)
            return
        }
        client.tally.add(consumed, to: .bytesIn)
        logged?.received += UInt64(consumed)
        if let upstream {
            attempts.bodyMovedOn()
            place?.counts.tally.add(consumed, to: .bytesIn)
            // If it is gone, `upstreamEnded` follows and decides.
            upstream.connection.write(bytes.extracting(..<consumed))
        } else {
            // Reading is paused while there is no connection; this had been read before.
            opening.append(bytes.extracting(..<consumed))
        }
        if requestBody.isComplete {
            machine.requestCompleted()
            if machine.isAwaitingResponse { client.setDeadline(in: settings.times.response) }
            if consumed < bytes.count { client.stash(bytes.extracting(consumed...)) }
            balanceClient()
        } else {
            bodyPace?.received(consumed)
            balanceClient()
            awaitBody()
        }
    }

    /// More of the body must come soon, or the server must take what there is. Once there is a response, whoever makes progress counts.
    func awaitBody() {
        if let upstream, upstream.connection.pendingBytes > 0 {
            client.setDeadline(in: settings.times.response)
        } else if let bodyPace, machine.isAwaitingResponse {
            client.setDeadline(at: min(host.deadline(in: settings.times.clientIdle), bodyPace.deadline))
        } else {
            client.setDeadline(in: settings.times.clientIdle)
        }
    }

    /// Reads the client as fast as the server takes it.
    func balanceClient() {
        if isUpgrade || machine.isRequestComplete {
            // Only to notice that it hangs up; what it sends goes to the backlog, which pauses.
            if !client.hasBacklog { client.connection.resumeReading() }
            return
        }
        if let upstream, upstream.connection.pendingBytes == 0 {
            if bodyPace != nil { bodyPace?.resumed(at: host.loop.milliseconds) }
            client.connection.resumeReading()
        } else {
            if bodyPace != nil { bodyPace?.paused(at: host.loop.milliseconds) }
            client.connection.pauseReading()
        }
    }

    private func bodyBroken(_ fault: HTTPFault) {
        machine.clientWillNotGoOn()
        if machine.isAwaitingResponse {
            refuse(fault)
        } else {
            settings.metrics.countRejected(fault.code)
            perform(machine.clientFailed(), cause: .refused)
        }
    }

    func clientReachedEnd() {
        machine.clientWillNotGoOn()
        // A request that is whole is still answered: half-closing is legal. Half a request and an unanswered upgrade are worth nothing.
        if isUpgrade || !machine.isRequestComplete { perform(machine.clientFailed(), cause: .clientGone) }
    }

    func clientDrained() {
        upstream?.connection.resumeReading()
        if !machine.isAwaitingResponse { client.setDeadline(in: settings.times.response) }
    }

    func clientGone() {
        perform(machine.clientFailed(), cause: .clientGone)
    }

    /// Whose turn was it?
    func deadlinePassed() {
        guard ticket == nil else { return refuse(.queueTimeout) }
        let serverTakesBytes = upstream?.connection.pendingBytes == 0
        if machine.isAwaitingResponse {
            let isClientSlow = !machine.isRequestComplete && serverTakesBytes
            if isClientSlow { machine.clientWillNotGoOn() }
            refuse(isClientSlow ? .requestTimeout : .responseTimeout)
        } else if client.connection.pendingBytes > 0 {
            perform(machine.clientFailed(), cause: .clientTimeout)
        } else {
            perform(machine.responseFailed(), cause: .serverTimeout)
        }
    }
}
