/// What holds files under names: a folder, or an archive that is read as if it were one.
///
/// A name is the way from the container to the file, "train/cat/1.png", in bytes that need not be UTF-8. Layouts know
/// names and contents only, so that each of them works in every container.
protocol Container: Sendable {
  /// For a person to read.
  var path: String { get }
  /// Whether it is one file of the system's.
  var isArchive: Bool { get }

  /// Bytes of the files that take memory when they are opened, all together: those that are unpacked.
  var unpackedBytes: Int { get }

  /// What is in an archive and not among its names.
  var leftOut: LeftOut { get }

  /// For a person to read, where there is something to know.
  var note: String? { get }

  /// The names of all files, sorted by their bytes, without the hidden ones.
  ///
  /// - Throws: `FileError`.
  func list() throws -> NameList

  /// The content of the file called `name`, which `list` gave.
  ///
  /// - Throws: `FileError`.
  func open(_ name: ArraySlice<UInt8>) throws -> FileContent

  /// What changes when the content of a file does: its size at least. Nil if it cannot be told.
  func fingerprint(_ name: ArraySlice<UInt8>) -> Int?

  /// A file for a person to read.
  func path(of name: ArraySlice<UInt8>) -> String
}

extension Container {
  var isArchive: Bool { true }
  var unpackedBytes: Int { 0 }
  var leftOut: LeftOut { LeftOut() }
  var note: String? { nil }

  func fingerprint(_ name: ArraySlice<UInt8>) -> Int? { (try? open(name))?.count }

  func path(of name: ArraySlice<UInt8>) -> String { "\(path)/\(RawPath.text(name))" }

  /// - Parameter name: as a person reads it.
  func open(_ name: String) throws -> FileContent {
    do { return try open(Array(name.utf8)[...]) } catch {
      guard let bytes = RawPath.bytes(ofShown: name) else { throw error }
      return try open(bytes[...])
    }
  }
}
