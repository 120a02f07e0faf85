import Foundation

/// How much memory this process may still take, in bytes: what the machine has free, or what its container
/// allows if that is less; nil where neither can be read.
public func availableMemory() -> Int? {
  func read(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }
  var bounds: [Int] = []
  for line in read("/proc/meminfo")?.split(separator: "\n") ?? [] where line.hasPrefix("MemAvailable:") {
    if let kibibytes = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) {
      bounds.append(kibibytes * 1024)
    }
  }
  let groups = [
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
  ]
  for (limit, usage) in groups {
    let number = { (text: String?) in text.flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
    }
    if let limit = number(read(limit)) { bounds.append(max(0, limit - (number(read(usage)) ?? 0))) }
  }
  return bounds.min()
}
