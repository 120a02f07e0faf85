import Foundation
import GlowKernels

/// How much memory this process may still take, in bytes: what the machine has free, or what its container
/// allows if that is less; nil where neither can be read.
public func availableMemory() -> Int? {
  let lines = (try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8))?.split(separator: "\n") ?? []
  let free = lines.first { $0.hasPrefix("MemAvailable:") }?.split(separator: " ").dropFirst().first
  let bounds = [free.flatMap { Int($0) }.map { $0 * 1024 }, ControlGroup().availableMemory]
  return bounds.compactMap { $0 }.min()
}
