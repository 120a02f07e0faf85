import Foundation
import Synchronization

/// A process that a test starts. What it prints is read while it runs, so that it never waits for a full pipe.
package final class ChildProcess {
  private let process = Process()
  private let standardOutput = Drain()
  private let standardError = Drain()

  /// The command `glow`: the test runner stands beside the products.
  package static var glow: String {
    URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "glow").path
  }

  /// Starts the program at a path with arguments, in `folder` or in that of the tests.
  package init(_ path: String, _ arguments: [String], in folder: String? = nil) throws {
    process.executableURL = URL(filePath: path)
    process.arguments = arguments
    if let folder { process.currentDirectoryURL = URL(filePath: folder) }
    process.standardOutput = standardOutput.pipe
    process.standardError = standardError.pipe
    try process.run()
    standardOutput.start()
    standardError.start()
  }

  /// Runs a program to its end.
  package static func run(_ path: String, _ arguments: [String], in folder: String? = nil) throws
    -> ChildProcess
  {
    let child = try ChildProcess(path, arguments, in: folder)
    child.end()
    return child
  }

  package var identifier: Int32 { process.processIdentifier }
  package var isRunning: Bool { process.isRunning }
  /// What it has printed so far.
  package var output: String { standardOutput.text }
  package var error: String { standardError.text }
  /// The lines of `error` but that of the number of threads, with which most commands begin.
  package var messages: [Substring] {
    error.split(separator: "\n").filter { $0.firstMatch(of: /^[0-9]+ threads? \(/) == nil }
  }

  /// Waits until `error` has `text`; false if the process ends or two minutes pass before.
  package func waits(for text: String) -> Bool {
    if !waits(until: { error.contains(text) }) && !isRunning { end() }
    return error.contains(text)
  }

  /// Waits until `condition` holds; false if the process ends or two minutes, many where others use the machine, pass before.
  package func waits(until condition: () -> Bool) -> Bool {
    let start = ContinuousClock.now
    while !condition() {
      if !isRunning || start.duration(to: .now) > .seconds(120) { return condition() }
      usleep(5000)
    }
    return true
  }

  package func send(_ signal: Int32) { kill(identifier, signal) }

  /// Waits for the end of the process and of what it prints; returns the exit status, or the signal that killed it.
  @discardableResult
  package func end() -> Int32 {
    process.waitUntilExit()
    standardOutput.waitForEnd()
    standardError.waitForEnd()
    return process.terminationStatus
  }

  /// Of a process that has ended.
  package var status: Int32 { process.terminationStatus }
  package var wasKilled: Bool { process.terminationReason == .uncaughtSignal }
}

/// What comes out of a pipe, taken by a thread of its own.
private final class Drain: Sendable {
  let pipe = Pipe()
  private let bytes = Mutex(Data())
  private let hasEnded = DispatchSemaphore(value: 0)

  var text: String { bytes.withLock { String(decoding: $0, as: UTF8.self) } }

  func start() {
    Thread.detachNewThread { [self] in
      let source = pipe.fileHandleForReading
      while case let part = source.availableData, !part.isEmpty { bytes.withLock { $0 += part } }
      hasEnded.signal()
    }
  }

  /// May be called again.
  func waitForEnd() {
    hasEnded.wait()
    hasEnded.signal()
  }
}
