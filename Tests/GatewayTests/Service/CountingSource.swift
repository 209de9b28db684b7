// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Gateway
import Store
import Synchronization

/// The real source, counted, and broken when the test says so.
final class CountingSource: ConfigurationSource {
    struct Counts: Equatable {
        var loads = 0
        var pages = 0
        var gaps = 0
        var heads = 0
        var authentications = 0
        var tokens = 0
        var tokenEvents = 0
    }

    private struct State {
        var counts = Counts()
        var isAway = false
    }

    private let state = Mutex(State())
    private let source: StoreSource

    init(_ store: ConfigurationStore) {
        source = StoreSource(store)
    }

    var counts: Counts { state.withLock(\.counts) }

    /// PostgreSQL is away, or back.
    func setAway(_ isAway: Bool) {
        state.withLock { $0.isAway = isAway }
    }

    private func count(_ path: WritableKeyPath<Counts, Int>) throws(StoreError) {
        let isAway = state.withLock { state in
            state.counts[keyPath: path] += 1
            return state.isAway
        }
        if isAway { throw StoreError(.unavailable, "the test took PostgreSQL away") }
    }

    var isAvailable: Bool { state.withLock { !$0.isAway } && source.isAvailable }

    func ping() async throws(StoreError) {
        if state.withLock(\.isAway) { throw StoreError(.unavailable, "the test took PostgreSQL away") }
        try await source.ping()
    }

    func load(_ path: EnvironmentPath) async throws(StoreError) -> LoadedEnvironment {
        try count(\.loads)
        return try await source.load(path)
    }

    func changes(_ id: UUID, since revision: Int64, limit: Int) async throws(StoreError) -> ChangesPage {
        try count(\.pages)
        return try await source.changes(id, since: revision, limit: limit)
    }

    func changes(since probes: [HeadProbe], limit: Int) async throws(StoreError) -> [ChangesPage] {
        try count(\.gaps)
        return try await source.changes(since: probes, limit: limit)
    }

    func heads(_ probes: [HeadProbe]) async throws(StoreError) -> [Head] {
        try count(\.heads)
        return try await source.heads(probes)
    }

    func authenticate(_ text: String) async throws(StoreError) -> TokenRecord? {
        try count(\.authentications)
        return try await source.authenticate(text)
    }

    func tokenEvents(after place: TokenLogPlace?, limit: Int) async throws(StoreError) -> TokenEventPage {
        try count(\.tokenEvents)
        return try await source.tokenEvents(after: place, limit: limit)
    }

    func token(_ id: String) async throws(StoreError) -> TokenRecord? {
        try count(\.tokens)
        return try await source.token(id)
    }

    func record(_ notes: [AuditNote]) async throws(StoreError) {
        if state.withLock(\.isAway) { throw StoreError(.unavailable, "the test took PostgreSQL away") }
        try await source.record(notes)
    }
}
