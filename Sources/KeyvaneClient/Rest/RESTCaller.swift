// Keyvane
// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import Foundation
import NIOCore
import NIOFoundationCompat
import NIOHTTP1

/// Sends one call and repeats it where that is safe and of use. A value; the connections belong to the `HTTPClient`.
struct RESTCaller: Sendable {
    private static let bodyLimit = 48 * 1_024 * 1_024

    private let address: ServerAddress
    private let settings: ClientSettings
    private let httpClient: HTTPClient

    init(address: ServerAddress, settings: ClientSettings, httpClient: HTTPClient) {
        self.address = address
        self.settings = settings
        self.httpClient = httpClient
    }

    /// The answer's body, decoded.
    func call<Answer: Decodable>(
        _ method: HTTPMethod,
        _ path: String,
        headers: HTTPHeaders = [:],
        body: (any Encodable & Sendable)? = nil,
        as answer: Answer.Type
    ) async throws(ClientError) -> Answer {
        try Self.decode(answer, try await call(method, path, headers: headers, body: body))
    }

    /// The same for a body that is written already; its type is in the headers.
    func call<Answer: Decodable>(
        _ method: HTTPMethod,
        _ path: String,
        headers: HTTPHeaders,
        bytes: ByteBuffer,
        as answer: Answer.Type
    ) async throws(ClientError) -> Answer {
        try Self.decode(answer, try await send(method, path, headers: headers, bytes: bytes))
    }

    private static func decode<Answer: Decodable>(_ answer: Answer.Type, _ bytes: ByteBuffer) throws(ClientError) -> Answer {
        do {
            return try JSONDecoder().decode(Answer.self, from: bytes)
        } catch {
            throw ClientError(
                code: "invalid_answer",
                message: "The answer isn't what this client understands. Check that the URL is a Keyvane service of a version that fits.",
                underlying: error
            )
        }
    }

    /// The answer's body as it came.
    func call(
        _ method: HTTPMethod,
        _ path: String,
        headers: HTTPHeaders = [:],
        body: (any Encodable & Sendable)? = nil
    ) async throws(ClientError) -> ByteBuffer {
        guard let body else { return try await send(method, path, headers: headers, bytes: nil) }
        var headers = headers
        headers.replaceOrAdd(name: "content-type", value: "application/json")
        let bytes: ByteBuffer
        do {
            bytes = try JSONEncoder().encodeAsByteBuffer(body, allocator: ByteBufferAllocator())
        } catch {
            throw ClientError(code: "invalid_request", message: "The request can't be written as JSON.", underlying: error)
        }
        return try await send(method, path, headers: headers, bytes: bytes)
    }

    /// Every mutation carries an `Idempotency-Key`, so that repeating it after a lost connection can't do it twice.
    private func send(
        _ method: HTTPMethod,
        _ path: String,
        headers: HTTPHeaders,
        bytes: ByteBuffer?
    ) async throws(ClientError) -> ByteBuffer {
        var request = HTTPClientRequest(url: address.url(path))
        request.method = method
        request.headers = headers
        request.headers.replaceOrAdd(name: "authorization", value: "Bearer \(settings.token)")
        if !headers.contains(name: "accept") { request.headers.add(name: "accept", value: "application/json") }
        if method != .GET, method != .HEAD { request.headers.add(name: "idempotency-key", value: UUID().uuidString) }
        if let bytes { request.body = .bytes(bytes) }
        let deadline = NIODeadline.now() + TimeAmount(settings.requestTimeout)
        var attempt = 0
        while true {
            let failure: ClientError
            do throws(ClientError) {
                return try await execute(request, deadline: deadline)
            } catch {
                failure = error
            }
            guard attempt < settings.retries, Self.isTemporary(failure) else { throw failure }
            attempt += 1
            let delay = failure.retryAfter ?? .milliseconds(Int64.random(in: 50...150) << attempt)
            guard NIODeadline.now() + TimeAmount(delay) < deadline else { throw failure }
            do {
                try await Task.sleep(for: delay)
            } catch {
                throw failure
            }
        }
    }

    private func execute(_ request: HTTPClientRequest, deadline: NIODeadline) async throws(ClientError) -> ByteBuffer {
        do {
            let response = try await httpClient.execute(request, deadline: deadline)
            let body = try await response.body.collect(upTo: Self.bodyLimit)
            guard (200..<300).contains(response.status.code) else {
                throw ProblemDetails.error(status: Int(response.status.code), headers: response.headers, body: body)
            }
            return body
        } catch let error as ClientError {
            throw error
        } catch {
            throw Self.error(of: error, host: address.authority)
        }
    }

    private static func error(of error: any Error, host: String) -> ClientError {
        let isTimeout = (error as? HTTPClientError).map { [.deadlineExceeded, .connectTimeout, .readTimeout].contains($0) } ?? false
        if isTimeout {
            return ClientError(
                code: "timeout",
                message: "\(host) did not answer in time. Check the URL and the service.",
                underlying: error
            )
        }
        if error is CancellationError || (error as? HTTPClientError) == .cancelled {
            return ClientError(code: "cancelled", message: "The call was cancelled.", underlying: error)
        }
        if error is NIOTooManyBytesError {
            return ClientError(code: "message_too_large", message: "The answer is larger than \(bodyLimit) bytes.", underlying: error)
        }
        return ClientError(
            code: "unreachable",
            message: "\(host) can't be reached. Check the URL and that the service runs.",
            underlying: error
        )
    }

    private static func isTemporary(_ error: ClientError) -> Bool {
        switch error.status {
        case .none: error.code == "unreachable"
        case 502, 503, 504: true
        case .some: false
        }
    }
}
