import Foundation
import Glibc

/// How much memory this process may still take, in bytes: what the machine has free, or what its container or its
/// limit on address space allows if that is less; nil where none can be read. Of several processes of a job on one
/// machine each has an equal part.
package func availableMemory() -> Int? {
  let lines = read("/proc/meminfo").split(separator: "\n")
  let free = lines.first { $0.hasPrefix("MemAvailable:") }?.split(separator: " ").dropFirst().first
  let shared = [free.flatMap { Int($0) }.map { $0 * 1024 }, ControlGroup().availableMemory]
  let bounds = shared.map { $0.map { $0 / ThreadShare.processes().count } } + [availableAddresses()]
  return bounds.compactMap { $0 }.min()
}

/// Work that would not fit into memory; `description` says how much it needs, and what to change.
public struct MemoryError: Error, CustomStringConvertible, Equatable {
  public let description: String
}

/// Refuses work before memory is booked for it: a tenth of what is available is left to everything else.
///
/// - Parameters:
///   - work: what needs the memory, as in "\(work) needs about 3 MB".
///   - advice: what to change, for a person.
/// - Throws: `MemoryError`.
package func requireMemory(_ bytes: Int, for work: String, advice: String) throws {
  guard let available = availableMemory(), bytes > available / 10 * 9 else { return }
  throw MemoryError(
    description:
      "\(work) needs about \(megabytes(bytes)) of memory and \(megabytes(available)) are free: \(advice)")
}

/// Bytes for a person.
package func megabytes(_ bytes: Int) -> String { "\(max(1, bytes / 1_000_000)) MB" }

/// What is left of a limit on address space to all that asks for none before: stacks and heaps of threads, scratch, the
/// C library. Without it a small allocation could end the process.
private let reservedAddresses = 32 << 20

/// Bytes of address space left, if it is limited. Calls `getrlimit`.
private func availableAddresses() -> Int? {
  var limit = rlimit()
  guard getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0, limit.rlim_cur < UInt64(Int.max)
  else { return nil }
  let pages = read("/proc/self/statm").split(separator: " ").first.flatMap { Int($0) } ?? 0
  return max(0, Int(limit.rlim_cur) - pages * Int(getpagesize()) - reservedAddresses)
}

private func read(_ path: String) -> String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }
