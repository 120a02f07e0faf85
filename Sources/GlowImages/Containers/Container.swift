import GlowFiles

/// What holds files under names: a folder, or an archive that is read as if it were one.
///
/// A name is the way from the container to the file, "train/cat/1.png", in bytes that need not be UTF-8. Layouts know
/// names and contents only, so that each of them works in every container.
protocol Container: Sendable {
  /// For a person to read.
  var path: String { get }
  /// Whether it is one file of the system's.
  var isArchive: Bool { get }

  /// What a file is unpacked to when it is opened; nil if it is not.
  func unpacked(_ name: ArraySlice<UInt8>) -> Unpacked.Key?

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

  /// The first bytes of a file, at most `count`, without unpacking more.
  ///
  /// - Throws: `FileError`.
  func start(of name: ArraySlice<UInt8>, _ count: Int) throws -> [UInt8]

  /// Bytes of a file, before it is unpacked. Nil if it cannot be told.
  func size(of name: ArraySlice<UInt8>) -> Int?

  /// What changes when the content of a file does: its size at least. Nil if it cannot be told.
  func fingerprint(_ name: ArraySlice<UInt8>) -> Int?

  /// A file for a person to read.
  func path(of name: ArraySlice<UInt8>) -> String
}

extension Container {
  var isArchive: Bool { true }
  var leftOut: LeftOut { LeftOut() }
  var note: String? { nil }

  func unpacked(_ name: ArraySlice<UInt8>) -> Unpacked.Key? { nil }

  func start(of name: ArraySlice<UInt8>, _ count: Int) throws -> [UInt8] { try open(name).prefix(count) }

  func size(of name: ArraySlice<UInt8>) -> Int? { (try? open(name))?.count }

  func fingerprint(_ name: ArraySlice<UInt8>) -> Int? { size(of: name) }

  func path(of name: ArraySlice<UInt8>) -> String { "\(path)/\(RawPath.text(name))" }

  /// The content of a file that is kept as long as the data set is.
  ///
  /// - Throws: `FileError`; `MemoryError` if it is to be unpacked and there is no room for it.
  func hold(_ name: ArraySlice<UInt8>) throws -> FileContent {
    guard let key = unpacked(name) else { return try open(name) }
    return try Unpacked.content(key) { try open(name) }
  }

  /// - Parameter name: as a person reads it.
  func open(_ name: String) throws -> FileContent { try withBytes(of: name) { try open($0) } }

  /// - Parameter name: as a person reads it.
  func hold(_ name: String) throws -> FileContent { try withBytes(of: name) { try hold($0) } }

  /// - Parameter name: as a person reads it.
  func unpacked(_ name: String) -> Unpacked.Key? {
    unpacked(Array(name.utf8)[...]) ?? RawPath.bytes(ofShown: name).flatMap { unpacked($0[...]) }
  }

  /// - Parameter name: as a person reads it.
  func start(of name: String, _ count: Int) throws -> [UInt8] {
    try withBytes(of: name) { try start(of: $0, count) }
  }

  private func withBytes<Result>(
    of name: String, _ body: (ArraySlice<UInt8>) throws -> Result
  ) throws -> Result {
    do { return try body(Array(name.utf8)[...]) } catch {
      guard let bytes = RawPath.bytes(ofShown: name) else { throw error }
      return try body(bytes[...])
    }
  }

  /// The content of an image file, which is unpacked only if its first bytes say that it is one.
  ///
  /// - Throws: `FileError`.
  func openImage(_ name: ArraySlice<UInt8>) throws -> FileContent {
    if unpacked(name) != nil {
      let path = path(of: name)
      try start(of: name, ImageFile.startSize).withUnsafeBytes { _ = try ImageFile.codec(of: $0, path: path) }
    }
    return try open(name)
  }

  /// The content of a file that can only be small.
  ///
  /// - Parameter what: what it is taken for, "a class".
  /// - Throws: `FileError`, if it has more than `largest` bytes too, before they are unpacked.
  func open(_ name: ArraySlice<UInt8>, largest: Int, for what: String) throws -> FileContent {
    if let size = size(of: name), size > largest {
      throw FileError(path(of: name), "has \(size) bytes, too many for \(what)")
    }
    return try open(name)
  }
}
