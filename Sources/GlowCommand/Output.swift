import ArgumentParser
import Foundation
import Glibc
import GlowFiles
import GlowImages
import GlowTraining

/// Writes a line of the command's answer to stdout. Of several processes the first one answers.
///
/// - Throws: `FileError` if it cannot be written: an answer that nobody gets is a failure.
func answer(_ line: String) throws {
  if !GlowCommand.ranks.isFirst { return }
  var line = line + "\n"
  try line.withUTF8 { try writeAll(UnsafeRawBufferPointer($0), to: STDOUT_FILENO, path: "standard output") }
}

/// Says something on stderr.
func remark(_ line: String) { Log.say(.note, line) }

/// Writes to stderr. What cannot be written, because the disk is full or nobody listens any more, must not end a job.
func writeError(_ text: String) {
  var text = text
  text.withUTF8 { try? writeAll(UnsafeRawBufferPointer($0), to: STDERR_FILENO, path: "standard error") }
}

func warn(_ message: String) { Log.say(.warning, message) }

/// The streams of the process.
enum StandardStreams {
  /// Holds the places of streams that are closed: the next file to be opened would get one of their numbers, and what
  /// is said would go into it. To write there remains an error.
  static func open() {
    for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
      // The lowest number that is free is this one.
      _ = Glibc.open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
  }

  /// Closes stdout: a file system may only now say that it has no room.
  ///
  /// - Throws: `FileError`.
  static func finish() throws {
    if close(STDOUT_FILENO) != 0 { throw FileError.system("standard output", "cannot write") }
  }
}

/// One JSON object on one line, with sorted keys in snake case.
func jsonLine(_ value: some Encodable) throws -> String {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  encoder.keyEncodingStrategy = .convertToSnakeCase
  return String(decoding: try encoder.encode(value), as: UTF8.self)
}

/// A number that may be missing, and is then null.
typealias Nullable = NullableValue<Double>

/// What may be missing, and is then null.
struct NullableValue<Value: Encodable>: Encodable {
  let value: Value?
  init(_ value: Value?) { self.value = value }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(value)
  }
}

/// Says on stderr how many images have no score, and why the first has none.
func warnOfSkipped(_ scores: CollectedScores, _ data: String) {
  guard let failure = scores.firstFailure else { return }
  warn(
    "\(data): \(counted(scores.skipped, "image")) \(scores.skipped == 1 ? "was" : "were") skipped; "
      + "the first: \(failure)")
}
