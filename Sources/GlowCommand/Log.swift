import ArgumentParser
import Foundation
import GlowTraining

/// What a command says on stderr besides its answer: one line each thing.
enum Log {
  enum Format: String, ExpressibleByArgument, CaseIterable { case text, json }

  enum Level: String, Encodable { case error, warning, note, progress }

  /// What a line of progress has besides its text.
  struct Progress: Encodable {
    var done: Int
    var count: Int
    var loss: Double?
    var bitsPerDim: Double?
    var imagesPerSecond: Double?
    var secondsLeft: Double?
  }

  private struct Line: Encodable {
    let level: Level
    let message: String
    let time: String
    let progress: Progress?
  }

  nonisolated(unsafe) private(set) static var format = Format.text
  nonisolated(unsafe) private(set) static var isQuiet = false

  /// As the command line asks. It is looked at before it is parsed, so that what is wrong with it is said that way, too.
  static func choose(_ arguments: [String]) {
    let options = arguments.prefix { $0 != "--" }
    isQuiet = options.contains("--quiet")
    // Of several the parser, too, takes the last.
    let values = zip(options, options.dropFirst() + [""]).compactMap { option, next in
      option == "--log-format"
        ? next : option.hasPrefix("--log-format=") ? String(option.dropFirst("--log-format=".count)) : nil
    }
    format = values.last.flatMap { Format(rawValue: $0) } ?? .text
  }

  /// Whether something of this level is wanted.
  /// Of several processes the first one speaks.
  static func says(_ level: Level) -> Bool {
    GlowCommand.ranks.isFirst && (!isQuiet || level == .error || level == .warning)
  }

  /// An error that must be said by this process, or nobody says it.
  static func sayAnyway(_ message: String) { writeError(line(.error, message) + "\n") }

  /// A line without its end.
  static func line(_ level: Level, _ message: String, _ progress: Progress? = nil) -> String {
    if format == .text { return level == .warning ? "warning: \(message)" : message }
    let line = Line(
      level: level, message: message, time: Date.now.formatted(.iso8601), progress: progress)
    return (try? jsonLine(line)) ?? message
  }

  static func say(_ level: Level, _ message: String, _ progress: Progress? = nil) {
    if says(level) { writeError(line(level, message, progress) + "\n") }
  }
}

/// How a command says what it has to say besides its answer.
struct LogArguments: ParsableArguments {
  @Option(help: "Errors, warnings, notes and progress on stderr: text, or json for one object a line.")
  var logFormat = Log.Format.text
  @Flag(help: "Say nothing on stderr but warnings and errors.") var quiet = false
}
