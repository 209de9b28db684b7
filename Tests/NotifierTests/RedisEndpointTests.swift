// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Notifier
import Reactor
import Testing

@Suite("A Redis URL")
struct RedisEndpointTests {
    @Test(
        "is read",
        arguments: [
            ("redis://", "redis://127.0.0.1:6379/0"),
            ("redis://cache", "redis://cache:6379/0"),
            ("redis://cache:7000/3", "redis://cache:7000/3"),
            ("REDIS://[::1]:7000", "redis://[::1]:7000/0"),
            ("redis://[::1]", "redis://[::1]:6379/0"),
            ("redis://cache?db=5", "redis://cache:6379/5"),
            ("redis://:secret@cache/1", "redis://:***@cache:6379/1"),
            ("redis://app:s%40cr%3At@cache:1", "redis://app:***@cache:1/0"),
            ("redis://app:with@sign@cache:1", "redis://app:***@cache:1/0"),
            ("unix:///run/redis.sock", "redis+unix:///run/redis.sock?db=0"),
            ("redis+unix://:secret@/run/redis.sock?db=2", "redis+unix://:***@/run/redis.sock?db=2"),
        ]
    )
    func reads(url: String, shown: String) throws {
        #expect(try RedisEndpoint(parsing: url).description == shown)
    }

    @Test(
        "is refused without repeating it",
        arguments: [
            "", "cache:6379", "http://cache", "redis://cache:0", "redis://cache:99999", "redis://cache:x", "redis://cache/one",
            "redis://cache/-1", "redis://hunter2@cache", "redis://:hunter2%4@cache", "redis://:hunter2%ff@cache",
            "redis://:hunter2%00@cache",
            "redis://:hunter2@cache?tls=1", "redis://::1:6379", "redis://:hunter2@ca che", "unix://relative", "unix:///",
        ]
    )
    func refuses(url: String) {
        let error = #expect(throws: NotifierError.self) { try RedisEndpoint(parsing: url) }
        #expect(error?.code == .urlInvalid)
        #expect(error?.description.contains("hunter2") == false)
    }

    @Test(
        "of a kind that is not supported says so",
        arguments: ["rediss://cache", "redis+sentinel://a,b", "redis+cluster://a", "rediss+cluster://a"]
    )
    func unsupported(url: String) {
        let error = #expect(throws: NotifierError.self) { try RedisEndpoint(parsing: url) }
        #expect(error?.code == .urlUnsupported)
    }

    @Test("never shows its password, however it is printed")
    func hidesPassword() throws {
        let endpoint = try RedisEndpoint(parsing: "redis://app:hunter2@cache/1")
        var dumped = ""
        dump(endpoint, to: &dumped)
        var configuration = ""
        dump(NotifierConfiguration(endpoint: endpoint), to: &configuration)
        for text in ["\(endpoint)", String(reflecting: endpoint), dumped, configuration, "\(NotifierConfiguration(endpoint: endpoint))"] {
            #expect(!text.contains("hunter2"))
        }
    }
}
