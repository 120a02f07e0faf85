import Glibc

/// What went wrong with a file, in one line that a person can act on: the path and the reason.
public struct FileError: Error, CustomStringConvertible, Equatable {
  /// The file, as it was named.
  public let path: String
  /// What is wrong with it.
  public let reason: String
  /// Whether the system has refused something, which says nothing of what the file holds.
  package private(set) var isOfSystem = false

  /// Whether the file is sound and only lacks what was asked for.
  package private(set) var isOfMissing = false

  /// An error of the file at `path`.
  public init(_ path: String, _ reason: String) {
    self.path = path
    self.reason = reason
  }

  /// Whether both say the same.
  public static func == (a: FileError, b: FileError) -> Bool { a.path == b.path && a.reason == b.reason }

  /// The error that `errno` stands for, for instance "cannot open: No such file or directory".
  package static func system(_ path: String, _ action: String, _ code: Int32 = errno) -> FileError {
    var error = FileError(path, "\(action): \(String(cString: strerror(code)))")
    error.isOfSystem = true
    return error
  }

  /// One line fit for a terminal, whatever the file held: control characters are escaped, a long reason is cut, and so is the
  /// middle of a long path, which may be a name in an archive.
  public var description: String { "\(Self.middle(Self.line(path))): \(Self.line(reason, limit: 500))" }

  private static func middle(_ text: String) -> String {
    let scalars = text.unicodeScalars
    if scalars.count <= 400 { return text }
    return String(scalars.prefix(200)) + "…" + String(scalars.suffix(199))
  }

  /// The error of what is asked for and not there, though nothing is damaged.
  package static func missing(_ path: String, _ reason: String) -> FileError {
    var error = FileError(path, reason)
    error.isOfMissing = true
    return error
  }

  private static func line(_ text: String, limit: Int = .max) -> String {
    var line = ""
    var count = 0
    for scalar in text.unicodeScalars {
      let shown: String
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator: shown = scalar.escaped(asASCII: true)
      default: shown = String(scalar)
      }
      count += shown.unicodeScalars.count
      if count > limit { return line + "…" }
      line += shown
    }
    return line
  }
}
