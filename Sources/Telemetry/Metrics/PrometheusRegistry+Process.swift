// Keyvane
// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

extension PrometheusRegistry {
    /// Adds Prometheus' standard `process_*` metrics. What the platform doesn't tell is left out.
    package func registerProcessMetrics() {
        registerGauge(name: "process_resident_memory_bytes", help: "Resident memory size in bytes.") {
            ProcessStatus.memoryBytes(field: 1)
        }
        registerGauge(name: "process_virtual_memory_bytes", help: "Virtual memory size in bytes.") {
            ProcessStatus.memoryBytes(field: 0)
        }
        register(.counter, name: "process_cpu_seconds_total", help: "Total user and system CPU time spent in seconds.") {
            [MetricSample(value: ProcessStatus.cpuSeconds())]
        }
        registerGauge(name: "process_open_fds", help: "Number of open file descriptors.") { ProcessStatus.openDescriptors() }
        registerGauge(name: "process_max_fds", help: "Maximum number of open file descriptors.") {
            ProcessStatus.maximumDescriptors()
        }
        let startTime = ProcessStatus.startTime()
        registerGauge(name: "process_start_time_seconds", help: "Start time of the process since the Unix epoch in seconds.") {
            startTime
        }
    }
}

/// What the operating system says about this process.
private enum ProcessStatus {
    static func memoryBytes(field: Int) -> Double? {
        // proc(5): statm has the whole size, then the resident set, in pages.
        guard let fields = contents("/proc/self/statm")?.split(separator: " "), fields.count > field, let pages = Double(fields[field])
        else { return nil }
        return pages * Double(sysconf(Int32(_SC_PAGESIZE)))
    }

    static func cpuSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    static func openDescriptors() -> Double? {
        // Since Linux 6.2 the folder's size is the number; reading ten thousand entries costs milliseconds.
        var status = stat()
        if stat("/proc/self/fd", &status) == 0, status.st_size > 0 { return Double(status.st_size) }
        guard let folder = opendir("/proc/self/fd") else { return nil }
        defer { closedir(folder) }
        var entries = 0
        while readdir(folder) != nil { entries += 1 }
        // Not counted: `.`, `..` and the descriptor that reads the folder.
        return Double(max(0, entries - 3))
    }

    static func maximumDescriptors() -> Double? {
        var limit = rlimit()
        #if canImport(Glibc)
            let result = getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        #else
            let result = getrlimit(RLIMIT_NOFILE, &limit)
        #endif
        return result == 0 ? Double(limit.rlim_cur) : nil
    }

    static func startTime() -> Double? {
        // proc(5): the command name may hold anything, so fields count from its closing parenthesis; starttime is the 22nd, in ticks after boot.
        guard let status = contents("/proc/self/stat"), let name = status.lastIndex(of: ")"),
            let boot = contents("/proc/stat")?.split(separator: "\n").first(where: { $0.hasPrefix("btime ") })
        else { return nil }
        let fields = status[status.index(after: name)...].split(separator: " ")
        guard fields.count > 19, let ticks = Double(fields[19]), let seconds = Double(boot.dropFirst(6)) else { return nil }
        return seconds + ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    private static func contents(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count <= 0 { break }
            bytes.append(contentsOf: chunk[..<count])
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
