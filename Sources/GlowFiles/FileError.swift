import Glibc

/// What went wrong with a file, in one line that a person can act on: the path and the reason.
public struct FileError: Error, CustomStringConvertible, Equatable {
  public let path: String
  public let reason: String

  public init(_ path: String, _ reason: String) {
    self.path = path
    self.reason = reason
  }

  /// The error that `errno` stands for, for instance "cannot open: No such file or directory".
  public static func system(_ path: String, _ action: String, _ code: Int32 = errno) -> FileError {
    FileError(path, "\(action): \(String(cString: strerror(code)))")
  }

  /// One line fit for a terminal, whatever the file held: control characters are escaped, a long reason is cut.
  public var description: String {
    let isCut = reason.unicodeScalars.count > Self.longestReason
    return "\(Self.escape(path.unicodeScalars)): "
      + Self.escape(reason.unicodeScalars.prefix(Self.longestReason)) + (isCut ? "…" : "")
  }

  private static let longestReason = 500

  private static func escape(_ scalars: some Sequence<Unicode.Scalar>) -> String {
    scalars.reduce(into: "") { text, scalar in
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator: text += scalar.escaped(asASCII: true)
      default: text.unicodeScalars.append(scalar)
      }
    }
  }
}
