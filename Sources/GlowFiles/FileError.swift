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

  public var description: String { "\(path): \(reason)" }
}
