import Foundation

/// What the control groups (cgroups, versions 1 and 2) of this process allow it: its own group and all above it,
/// each of which can hold it back.
package struct ControlGroup: Sendable {
  /// Where the groups are mounted, and the text that says which are this process's.
  private let root: String
  private let membership: String

  /// - Parameters:
  ///   - root: the mount point of the hierarchies.
  ///   - membership: as in `/proc/self/cgroup`.
  package init(root: String = "/sys/fs/cgroup", membership: String? = nil) {
    self.root = root
    self.membership = membership ?? ControlGroup.read("/proc/self/cgroup") ?? ""
  }

  /// Processors' worth of time, rounded up; nil without a quota.
  package var processorQuota: Int? {
    let unified = folders("").compactMap { folder -> Double? in
      let words = ControlGroup.read("\(folder)/cpu.max")?.split(whereSeparator: \.isWhitespace) ?? []
      guard words.count == 2, let quota = Double(words[0]), let period = Double(words[1]) else { return nil }
      return quota / period
    }
    let separate = folders("cpu").compactMap { folder -> Double? in
      guard let quota = ControlGroup.number("\(folder)/cpu.cfs_quota_us"), quota > 0,
        let period = ControlGroup.number("\(folder)/cpu.cfs_period_us"), period > 0
      else { return nil }
      return Double(quota) / Double(period)
    }
    return (unified + separate).filter { $0 > 0 && $0 < 1e6 }.min().map { max(1, Int($0.rounded(.up))) }
  }

  /// Bytes that may still be taken; nil without a limit. Cached file pages that the system drops when memory runs
  /// short do not count as used.
  package var availableMemory: Int? {
    let unified = folders("").compactMap {
      left("\($0)/memory.max", "\($0)/memory.current", "\($0)/memory.stat", "inactive_file")
    }
    let separate = folders("memory").compactMap {
      left(
        "\($0)/memory.limit_in_bytes", "\($0)/memory.usage_in_bytes", "\($0)/memory.stat",
        "total_inactive_file")
    }
    return (unified + separate).min()
  }

  private func left(_ limit: String, _ usage: String, _ statistics: String, _ droppable: String) -> Int? {
    guard let limit = ControlGroup.number(limit) else { return nil }
    let line = ControlGroup.read(statistics)?.split(separator: "\n").first { $0.hasPrefix("\(droppable) ") }
    let cached = line.flatMap { Int($0.dropFirst(droppable.count + 1)) } ?? 0
    return max(0, limit - max(0, (ControlGroup.number(usage) ?? 0) - cached))
  }

  /// The folders of this process's group and those above it, for a controller of version 1 or, by the name "", for
  /// version 2. In a container the path may be one that is only known outside: the folders that exist count.
  private func folders(_ controller: String) -> [String] {
    for line in membership.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3,
        parts[1].split(separator: ",").contains(Substring(controller))
          || (controller.isEmpty && parts[1].isEmpty)
      else { continue }
      let mounts =
        controller.isEmpty ? [root, "\(root)/unified"] : ["\(root)/\(controller)", "\(root)/\(parts[1])"]
      var names = parts[2].split(separator: "/")
      var paths = [""]
      while !names.isEmpty {
        paths.append("/" + names.joined(separator: "/"))
        names.removeLast()
      }
      return mounts.flatMap { mount in paths.map { mount + $0 } }
    }
    return []
  }

  private static func read(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }

  /// Nil for a file that is not there or says "max".
  private static func number(_ path: String) -> Int? {
    read(path).flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
  }
}
