import Foundation
import Glibc
import Synchronization

/// The hidden files and folders that this process is writing and has not renamed yet.
///
/// A process that ends early, because of a signal for instance, must remove them by `endProcess`.
package enum Unfinished {
  private static let suffix = ".partial"
  /// Of the number in a hidden name, with base 36.
  private static let digitCount = 13
  private static let paths = Mutex<Set<String>>([])

  /// Makes a new name beside `path` and notes it. A name that somebody else has put there is not taken.
  ///
  /// - Parameter make: makes a file or folder of a name that is not there yet, and sets `errno` where it is.
  /// - Throws: `FileError` for `path`.
  static func make<Result>(beside path: String, _ make: (_ hidden: String) -> Result?) throws -> (
    Result, hidden: String
  ) {
    let (folder, name) = Folder.split(path)
    while true {
      // A name may have 255 bytes, of which `name` may take all.
      let digits = String(UInt64.random(in: 0 ... .max), radix: 36)
      let number = String(repeating: "0", count: digitCount - digits.count) + digits
      let hidden = "\(folder)/.\(String(decoding: name.utf8.prefix(200), as: UTF8.self)).\(number)\(suffix)"
      let made = paths.withLock { paths in
        let made = make(hidden)
        if made != nil { paths.insert(hidden) }
        return made
      }
      if let made { return (made, hidden) }
      if errno != EEXIST { throw FileError.system(path, "cannot write") }
    }
  }

  /// Makes a folder that is to be removed too, if it is empty, and notes it: a signal comes before both or after.
  ///
  /// - Returns: whether it was made; if not, `errno` says why.
  static func makeFolder(_ path: String) -> Bool {
    paths.withLock { paths in
      let isMade = mkdir(path, 0o777) == 0
      if isMade { paths.insert(path) }
      return isMade
    }
  }

  static func forget(_ hidden: String) { _ = paths.withLock { $0.remove(hidden) } }

  /// Whether a name is that of such a file or folder. Those of other programs that end alike lack the number.
  static func isHidden(_ name: String) -> Bool {
    guard name.hasPrefix("."), name.hasSuffix(suffix) else { return false }
    let number = name.dropLast(suffix.count).suffix(digitCount + 1)
    return number.first == "." && number.count == digitCount + 1
      && UInt64(number.dropFirst(), radix: 36) != nil
  }

  /// Does what must not be cut in two by `endProcess`.
  static func undisturbed<Result>(_ body: () throws -> Result) rethrows -> Result {
    try paths.withLock { _ in try body() }
  }

  /// Removes what this process has not finished, and ends it; no other thread can begin anything in between.
  package static func endProcess(_ status: Int32) -> Never {
    paths.withLock { paths in
      remove(paths)
      _exit(status)
    }
  }

  /// The same from a handler of a signal that may come anywhere, where waiting for a lock could be for ever.
  package static func removeIfPossible() { _ = paths.withLockIfAvailable { remove($0) } }

  /// What is in a folder goes before the folder.
  private static func remove(_ paths: Set<String>) {
    for path in paths.sorted(by: { $0.count > $1.count }) {
      if isHidden(Folder.split(path).name) {
        // A thread may still put files into a folder.
        for _ in 0..<100 {
          try? FileManager.default.removeItem(atPath: path)
          if access(path, F_OK) != 0 { break }
        }
      } else {
        rmdir(path)
      }
    }
  }
}
