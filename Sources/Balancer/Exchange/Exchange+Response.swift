// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Wire

/// The server's side: heads, body, end.
extension Exchange {
    func upstream(_ upstream: UpstreamConnection, received bytes: Span<UInt8>) {
        if machine.isAwaitingResponse {
            readHeads(bytes)
        } else {
            forwardBody(bytes, behind: nil)
        }
    }

    func upstreamDrained(_ upstream: UpstreamConnection) {
        balanceClient()
        if !machine.isRequestComplete { awaitBody() }
    }

    func upstreamEnded(_ upstream: UpstreamConnection, isClean: Bool) {
        var endsBody = false
        if case .untilClose = responseBody { endsBody = isClean }
        if endsBody, compressor != nil { return compressedToTheEnd() }
        if partialResponse != nil, machine.isAwaitingResponse {
            badResponse()
        } else {
            perform(machine.serverEnded(completesBody: endsBody), cause: endsBody ? .done : .serverFailed)
        }
    }

    // MARK: Heads

    /// Interim heads are passed on one by one; the final one takes the rest of the bytes along.
    private func readHeads(_ bytes: Span<UInt8>) {
        do throws(HTTPFault) {
            if let partial = partialResponse {
                guard case .complete(let length) = try partial.parse(bytes) else { return }
                partialResponse = nil
                let buffer = partial.bytes
                if take(partial.parser.head, buffer.span, rest: buffer.span.extracting(length...)) {
                    try readHeads(in: buffer.span.extracting(length...))
                }
            } else {
                try readHeads(in: bytes)
            }
        } catch {
            badResponse()
        }
    }

    private func readHeads(in bytes: Span<UInt8>) throws(HTTPFault) {
        var offset = 0
        while offset < bytes.count {
            let rest = bytes.extracting(offset...)
            let result: HeadResult
            do throws(HTTPFault) {
                result = try host.responseParser.parse(rest)
            } catch {
                host.responseParser.reset()
                throw error
            }
            guard case .complete(let length) = result else {
                partialResponse = PartialResponse(rest, parser: host.responseParser)
                host.responseParser = ResponseHeadParser(limits: host.limits.head)
                return
            }
            offset += length
            guard take(host.responseParser.head, rest, rest: bytes.extracting(offset...)) else { return }
        }
    }

    /// True for an interim head: another one follows.
    private func take(_ head: ResponseHead, _ bytes: Span<UInt8>, rest: Span<UInt8>) -> Bool {
        guard let layout, let place else { return false }
        let isDraining = head.status == 503 && Self.isDraining(head, bytes)
        if isDraining { settings.shared.announcedDraining(place.server) }
        switch head.status {
        case 101:
            guard isUpgrade, let key = layout.key, WebSocketHandshake.isAccepted(head, in: bytes, key: opening.span.extracting(key)) else {
                badResponse()
                return false
            }
            becomeTunnel(head, bytes, rest: rest, layout, place)
            return false
        case 100..<200:
            // The server has begun to act on it.
            attempts.bodyMovedOn()
            // HTTP/1.0 knows no interim answers.
            if layout.version == .http11 { write(rewritten(head, bytes, layout, place, cookie: nil, .untouched, .none)) }
            return true
        case 503 where isUpgrade:
            if attempts.upgradeRefused() == .tryAnotherServerOrPassOn, retryElsewhere() {
                return false
            }
        case 503 where isDraining:
            if attempts.drainingAnswered() == .tryAnotherServerOrPassOn, retryElsewhere() {
                return false
            }
        default:
            break
        }
        respond(head, bytes, rest: rest, layout, place)
        return false
    }

    private static func isDraining(_ head: ResponseHead, _ bytes: Span<UInt8>) -> Bool {
        head.fields.first(.keyvaneState).map { bytes.equalsIgnoringCase($0, "draining") } ?? false
    }

    private func respond(_ head: ResponseHead, _ bytes: Span<UInt8>, rest: Span<UInt8>, _ layout: RequestLayout, _ place: PoolView.Place) {
        let framing = head.framing(for: layout.method)
        status = head.status
        let now = MonotonicClock.nanoseconds()
        answeredAfter = now - began
        logged?.answeredAt = now
        responseBody = BodyParser(framing)
        removesChunks = framing == .chunked && layout.version == .http10
        let coding = coding(of: head, bytes, layout)
        // Bytes behind a refused upgrade may be meant for a tunnel: they must never be read as a request.
        if host.isDraining || isUpgrade { machine.clientWillNotGoOn() }
        machine.responseBegan(
            status: head.status,
            serverPersists: head.isPersistent(for: layout.method),
            endsWithConnection: framing == .untilClose && compressor == nil || removesChunks,
            expectedContinue: expectsContinue
        )
        isUpgrade = false
        let connection: ResponseRewriter.ConnectionField =
            machine.willKeepAlive ? (layout.version == .http10 ? .keepAlive : .none) : .close
        let bytes = rewritten(head, bytes, layout, place, cookie: cookie(of: place), coding, connection)
        opening = []
        forwardBody(rest, behind: bytes)
    }

    /// Where the answer is gzip there is a compressor from now on.
    private func coding(of head: ResponseHead, _ bytes: Span<UInt8>, _ layout: RequestLayout) -> ResponseCoding {
        guard let route, route.compresses else { return .untouched }
        let coding = ResponseCoding.of(head, bytes, method: layout.method, isWelcome: takesGzip)
        guard case .gzip = coding else { return coding }
        compressor = ResponseCompressor(host: host, flushes: head.isChunked || head.contentLength == nil)
        return compressor == nil ? .varies : .gzip
    }

    private func cookie(of place: PoolView.Place) -> (name: String, value: String)? {
        guard let pool, let name = pool.snapshot.sticky?.table?.cookie else { return nil }
        let kept = wish.pinned === place.server ? wish.token : nil
        guard let value = pool.cookie(for: place.server, kept: kept, at: Self.wallSeconds()) else { return nil }
        logged?.cookie = kept == nil ? .inserted : .renewed
        return (name, value)
    }

    private func rewritten(
        _ head: ResponseHead,
        _ bytes: Span<UInt8>,
        _ layout: RequestLayout,
        _ place: PoolView.Place,
        cookie: (name: String, value: String)?,
        _ coding: ResponseCoding,
        _ connection: ResponseRewriter.ConnectionField
    ) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(head.length + 256)
        let opening = opening
        ResponseRewriter.append(
            head,
            bytes,
            request: opening.span,
            .init(
                layout: layout,
                authority: place.server.authority,
                isServerSecure: place.transport.isSecure,
                cookie: cookie,
                connection: connection,
                removesChunks: removesChunks,
                coding: coding,
                plan: route?.rules.response ?? .none,
                transportSecurity: client.listener.transportSecurity
            ),
            into: &out
        )
        return out
    }

    private func badResponse() {
        partialResponse = nil
        refuse(.badResponse)
    }

    // MARK: Body

    /// `head` leaves in one write with the body's first bytes.
    private func forwardBody(_ bytes: Span<UInt8>, behind head: [UInt8]?) {
        var consumed = bytes.count
        do throws(HTTPFault) {
            if let compressor {
                if case .complete(let used) = try responseBody.parse(bytes, content: { compressor.add(bytes.extracting($0)) }) {
                    consumed = used
                }
                var out = head ?? []
                compressor.flush(isLast: responseBody.isComplete, to: &out)
                write(out)
                // Content that only went into the compressor is a sign of life too.
                if out.isEmpty { client.setDeadline(in: settings.times.response) }
            } else if removesChunks {
                var content = head ?? []
                if case .complete(let used) = try responseBody.parse(bytes, content: { content.append(bytes, $0) }) { consumed = used }
                write(content)
            } else {
                if responseBody.isComplete {
                    consumed = 0
                } else if case .complete(let used) = try responseBody.advance(bytes) {
                    consumed = used
                }
                if var head {
                    head.append(bytes.extracting(..<consumed))
                    write(head)
                } else {
                    write(bytes.extracting(..<consumed))
                }
            }
        } catch {
            perform(machine.responseFailed(), cause: .serverFailed)
            return
        }
        guard responseBody.isComplete else { return }
        // Bytes behind the response's end are nobody's: that connection is not used again.
        if consumed < bytes.count { machine.serverWillNotGoOn() }
        perform(machine.responseCompleted(), cause: .done)
    }

    /// The server ended the body with its connection; the client gets a last chunk instead.
    private func compressedToTheEnd() {
        var out: [UInt8] = []
        compressor?.flush(isLast: true, to: &out)
        write(out)
        perform(machine.responseCompleted(), cause: .done)
    }

    private func write(_ bytes: [UInt8]) {
        write(bytes.span)
    }

    /// Writes to the client, and reads on as fast as it takes it.
    private func write(_ bytes: Span<UInt8>) {
        guard !bytes.isEmpty else { return }
        sentBytes += UInt64(bytes.count)
        place?.counts.tally.add(bytes.count, to: .bytesOut)
        client.tally.add(bytes.count, to: .bytesOut)
        switch client.connection.write(bytes) {
        case .sent:
            client.setDeadline(in: settings.times.response)
        case .pending:
            upstream?.connection.pauseReading()
            client.setDeadline(in: settings.times.clientIdle)
        case .refused:
            // Reading was paused long before that much could wait.
            client.connection.close()
        case .closed:
            // `clientGone` follows.
            break
        }
    }

    // MARK: Upgrade

    private func becomeTunnel(
        _ head: ResponseHead,
        _ bytes: Span<UInt8>,
        rest: Span<UInt8>,
        _ layout: RequestLayout,
        _ place: PoolView.Place
    ) {
        guard let upstream else { return }
        status = 101
        logged?.answeredAt = MonotonicClock.nanoseconds()
        var answer = rewritten(head, bytes, layout, place, cookie: cookie(of: place), .untouched, .upgrade)
        answer.append(rest)
        sentBytes += UInt64(answer.count)
        record(101, cause: .done, counts: place.counts)
        client.connection.write(answer)
        let early = client.takeBacklog()
        if !early.isEmpty { upstream.connection.write(early) }
        logged?.received = UInt64(early.count)
        guard client.connection.isOpen, upstream.connection.isOpen else {
            logged?.cause = .clientGone
            if let logged { host.write(logged, to: settings.accessLog, pool: pool, server: place.server) }
            perform(machine.clientFailed(), cause: .clientGone)
            return
        }
        self.upstream = nil
        _ = Tunnel(of: client, server: upstream, logged: logged, host: host)
        // The tunnel has it, and the exchange's place at the server.
        self.place = nil
        attemptEnded()
        client.handOver()
    }
}
