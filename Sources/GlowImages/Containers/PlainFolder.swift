import GlowFiles

/// A folder and the folders below it.
struct PlainFolder: Container {
  private let base: RawPath
  /// Deeper folders are refused rather than searched: nobody keeps images there, but links may lead there.
  private static let deepest = 12

  init(_ path: String) { base = RawPath(path) }

  var path: String { base.text }
  var isArchive: Bool { false }

  func list() throws -> NameList {
    var names = NameList()
    try list(base, prefix: [], depth: 0, into: &names)
    return names.sorted()
  }

  func open(_ name: ArraySlice<UInt8>) throws -> FileContent {
    FileContent(try base.appending(name).open())
  }

  func size(of name: ArraySlice<UInt8>) -> Int? { base.appending(name).size }

  private func list(_ folder: RawPath, prefix: [UInt8], depth: Int, into names: inout NameList) throws {
    if depth > Self.deepest {
      throw FileError(folder.text, "lies more than \(Self.deepest) folders below \(path)")
    }
    var folders = NameList()
    names.hiddenCount += try folder.forEachEntry { name, isFolder in
      if isFolder { folders.append(name) } else { names.append(prefix + name) }
    }
    for index in 0..<folders.count {
      let name = folders.bytes(index)
      try list(
        folder.appending(name), prefix: prefix + name + [UInt8(ascii: "/")], depth: depth + 1, into: &names)
    }
  }
}

/// One file by itself.
struct SingleFile: Container {
  private let file: RawPath

  init(_ path: String) { file = RawPath(path) }

  var path: String { file.text }

  func path(of name: ArraySlice<UInt8>) -> String { path }

  func list() throws -> NameList {
    var names = NameList()
    names.append(file.bytes.split(separator: UInt8(ascii: "/")).last ?? [])
    return names
  }

  func open(_ name: ArraySlice<UInt8>) throws -> FileContent { FileContent(try file.open()) }
}
