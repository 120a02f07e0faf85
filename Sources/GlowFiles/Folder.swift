import Foundation
import Glibc

/// Folders to write in. Calls `mkdir`, `fsync` and `rename`.
package enum Folder {
  /// Makes a folder, and all above it, where they are missing. The new names survive a loss of power.
  ///
  /// - Parameter removesUnused: whether those that are still empty when the process ends early go again.
  /// - Throws: `FileError`.
  package static func make(_ path: String, removesUnused: Bool = false) throws {
    let above = split(path).folder
    func makeOne() -> Bool { removesUnused ? Unfinished.makeFolder(path) : mkdir(path, 0o777) == 0 }
    var isMade = makeOne()
    if !isMade && errno == ENOENT && above != "." && above != "/" {
      try make(above, removesUnused: removesUnused)
      isMade = makeOne()
    }
    if isMade { return try synchronize(above) }
    if errno == EEXIST && isFolder(path) { return }
    throw FileError.system(path, "cannot make this folder")
  }

  /// A path without links and dots, if it is there.
  package static func resolved(_ path: String) -> String? {
    guard let real = realpath(path, nil) else { return nil }
    defer { free(real) }
    return String(cString: real)
  }

  /// Fills a folder that is new, or empty: with all that `body` puts into the folder that it is handed, or nothing.
  ///
  /// - Parameter need: what the files take, where that is known: without room for them `body` is not called.
  /// - Throws: `FileError`, if the folder holds something, too; what `body` throws.
  package static func fill(
    _ path: String, need: DiskNeed? = nil, _ body: (_ folder: String) throws -> Void
  ) throws {
    try checkIsEmpty(path)
    let isNew = !isFolder(path)
    try make(path, removesUnused: true)
    defer { if isNew { Unfinished.forget(path) } }
    do {
      AtomicFile.removeLeftovers(in: path)
      try need?.check(in: path, path: path)
      let (_, hidden) = try Unfinished.make(beside: "\(path)/files") { mkdir($0, 0o777) == 0 ? true : nil }
      // Tells others that it is no leftover.
      let lock = open(hidden, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      if lock >= 0 { flock(lock, LOCK_EX | LOCK_NB) }
      defer {
        if lock >= 0 { close(lock) }
        try? FileManager.default.removeItem(atPath: hidden)
        Unfinished.forget(hidden)
      }
      try body(hidden)
      // Somebody may have filled it meanwhile.
      try checkIsEmpty(path)
      try Unfinished.undisturbed { try move(names(in: hidden), from: hidden, to: path) }
      try synchronize(path)
    } catch {
      if isNew { rmdir(path) }
      throw error
    }
  }

  /// All of them, or none.
  private static func move(_ names: [String], from source: String, to target: String) throws {
    for (index, name) in names.enumerated() where rename("\(source)/\(name)", "\(target)/\(name)") != 0 {
      let error = FileError.system("\(target)/\(name)", "cannot write")
      for name in names[..<index] { try? FileManager.default.removeItem(atPath: "\(target)/\(name)") }
      throw error
    }
  }

  /// Checks that `fill` would accept a folder.
  ///
  /// - Throws: `FileError`.
  package static func checkIsEmpty(_ path: String) throws {
    var status = stat()
    if stat(path, &status) != 0 { return }
    if !isFolder(path) { throw FileError(path, "is a file, expected a folder or a new name") }
    if try names(in: path).contains(where: { !Unfinished.isHidden($0) }) {
      throw FileError(path, "holds files already: give an empty folder or a new one")
    }
  }

  package static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// What a folder holds, without what interrupted writes have left, in no order.
  ///
  /// - Throws: `FileError`.
  package static func contents(_ path: String) throws -> [String] {
    try names(in: path).filter { !Unfinished.isHidden($0) }
  }

  static func names(in path: String) throws -> [String] {
    guard let folder = opendir(path) else { throw FileError.system(path, "cannot read this folder") }
    defer { closedir(folder) }
    var names: [String] = []
    while true {
      // The end and an error look alike but for this.
      errno = 0
      guard let entry = readdir(folder) else {
        if errno != 0 { throw FileError.system(path, "cannot read this folder") }
        return names
      }
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
  }

  /// A path's folder, and its name in it.
  package static func split(_ path: String) -> (folder: String, name: String) {
    var path = path[...]
    while path.count > 1 && path.last == "/" { path.removeLast() }
    guard let slash = path.lastIndex(of: "/") else { return (".", String(path)) }
    let folder = slash == path.startIndex ? "/" : String(path[..<slash])
    return (folder, String(path[path.index(after: slash)...]))
  }

  /// Makes the names in a folder themselves survive a loss of power. Some file systems do not support it, and a
  /// folder may be one to write in but not to open; these keep no promise.
  ///
  /// - Throws: `FileError`.
  static func synchronize(_ folder: String) throws {
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if descriptor < 0 {
      if errno == EACCES { return }
      throw FileError.system(folder, "cannot open")
    }
    defer { close(descriptor) }
    if fsync(descriptor) != 0 && errno != EINVAL && errno != ENOTSUP {
      throw FileError.system(folder, "cannot synchronize")
    }
  }
}
