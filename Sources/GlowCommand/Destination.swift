import ArgumentParser
import Foundation
import Glibc
import GlowFiles
import GlowImages
import GlowStorage
import GlowTraining

/// A file or folder that a command is to write. It is checked before any work, which could else be lost, or cost what
/// stands there.
struct Destination {
  enum Kind: Equatable {
    case png
    /// Bytes of images, latents and one vector: arrays that are not told apart by their names.
    case images, latents, vector
    /// Of this program, and of others.
    case model, foreignModel
    /// One record a line.
    case records
    /// What says where records come from.
    case provenance
    /// Of glow detect.
    case reference
    /// That is to hold only what the command writes.
    case newFolder
    /// Some of whose files the command replaces.
    case folder

    var endings: [String] {
      switch self {
      case .png: [".png"]
      case .images, .latents, .vector: [".npy"]
      case .model, .foreignModel: [".safetensors"]
      case .records: ScoreTable.Format.allCases.map { ".\($0.rawValue)" }
      case .provenance: [ScoreProvenance.path(of: "")]
      case .reference: [".json"]
      case .newFolder, .folder: []
      }
    }

    /// Whether a file with these first bytes is one of this kind. What any program's settings may begin with is read.
    ///
    /// - Throws: `FileError` of a file that the system does not let be read: who knows what it holds.
    fileprivate func matches(_ start: [UInt8], _ path: String) throws -> Bool {
      switch self {
      case .png: start.starts(with: [0x89] + Array("PNG".utf8))
      case .images, .latents, .vector: start.starts(with: [0x93] + Array("NUMPY".utf8))
      // The length of the header, in 8 bytes, stands before it.
      case .model, .foreignModel: start.dropFirst(8).first == UInt8(ascii: "{")
      case .records:
        // Of several shards only the first one's file begins with names.
        try ["{\"index\"", "index,"].contains { start.starts(with: Array($0.utf8)) }
          || (content { try ScoreProvenance.read(for: path) } ?? nil) != nil
      case .provenance: try content { try ScoreProvenance(path) } != nil
      case .reference: try content { try DetectionReference(path) } != nil
      case .newFolder, .folder: false
      }
    }

    /// Whether what a file's header says, beyond its first bytes, is said in files of this kind.
    ///
    /// - Throws: `FileError`, as above.
    fileprivate func matches(_ file: MappedFile) throws -> Bool {
      switch self {
      case .images, .latents, .vector:
        let parsed = try content { try file.withBytes { try NumpyHeader.parse($0, path: file.path) } }
        guard let (header, _) = parsed else { return false }
        let dimensions = self == .images ? 4 : self == .latents ? 2 : 1
        return header.shape.count == dimensions && header.dataType.hasPrefix("|") == (self == .images)
      case .model: return try content { try SafetensorsFile(file.path) }.map(ModelFile.isModel) == true
      case .foreignModel:
        return try content { try SafetensorsFile(file.path) }.map(ModelFile.isForeign) == true
      case .png, .records, .provenance, .reference, .newFolder, .folder: return true
      }
    }

    /// What a reader makes of a file; nil if it holds something else.
    private func content<Content>(_ read: () throws -> Content) throws -> Content? {
      do { return try read() } catch {
        if let error = error as? FileError, error.isOfSystem { throw error }
        return nil
      }
    }
  }

  let option: String
  let path: String
  let kind: Kind

  init(_ option: String, _ path: String, _ kind: Kind) {
    (self.option, self.path, self.kind) = (option, path, kind)
  }

  /// The name of a file must tell its kind, unless it is a device, a pipe or a socket.
  ///
  /// - Throws: `ValidationError`.
  func checkName() throws {
    if path.isEmpty { throw ValidationError("\(option) must not be empty") }
    let endings = kind.endings
    if endings.isEmpty || isSpecial || endings.contains(where: path.hasSuffix) { return }
    throw ValidationError("\(option) must end in \(endings.joined(separator: " or ")), not \(path)")
  }

  /// A device, a pipe or a socket, which is written through.
  var isSpecial: Bool { AtomicFile.isSpecial(path) }

  /// Makes ready for all that a command is to write: refuses what would be lost by it, and makes folders that are
  /// missing.
  ///
  /// - Parameters:
  ///   - inputs: the model and other files that the command reads.
  ///   - data: the images that it reads; none of them may be replaced, and nothing be put among them.
  /// - Throws: `FileError`.
  static func prepare(_ destinations: [Destination], inputs: [String], data: [String] = []) throws {
    var options: [String: String] = [:]
    for destination in destinations {
      for input in inputs + data { try destination.refuse(input) }
      try destination.refuse(in: data)
      if let option = options.updateValue(destination.option, forKey: try destination.location) {
        throw FileError(destination.path, "is given for both \(option) and \(destination.option)")
      }
      try destination.check()
    }
    for destination in destinations { try destination.makeFolder() }
  }

  /// Whether two names are those of one file or folder, or the first is a folder that the second is in.
  static func isSame(_ path: String, _ other: String) -> Bool {
    let other = Folder.isFolder(other) && !Folder.isFolder(path) ? RunFolder(other).model : other
    guard let path = Folder.resolved(path), let other = Folder.resolved(other) else { return false }
    return path == other || other.hasPrefix("\(path)/")
  }

  /// Refuses a place among the images that a command reads: what is written there would be taken for one of them the next
  /// time. The words for built-in images are no folders.
  ///
  /// - Throws: `FileError`.
  func refuse(in data: [String]) throws {
    for data in data where !DataSource.isBuiltIn(data) { try refuse(in: data) }
  }

  private func refuse(_ input: String) throws {
    let file = Folder.isFolder(input) ? RunFolder(input).model : input
    guard let own = FileStatus(path), let other = FileStatus(file), own.isRegular,
      own.identity == other.identity
    else { return }
    throw FileError(path, "is what the command reads: give another \(option)")
  }

  private func refuse(in data: String) throws {
    guard !isSpecial, let folder = Folder.resolved(data), Folder.isFolder(folder) else { return }
    let isReplaced = FileStatus(path).map { $0.isRegular && Self.isAmong($0, folder) } == true
    if try location == folder || location.hasPrefix("\(folder)/") || isReplaced {
      throw FileError(path, "is in the images that the command reads, '\(data)': give another \(option)")
    }
  }

  /// Whether a file is one of those in a folder and in those below it, by whatever name.
  private static func isAmong(_ file: FileStatus, _ folder: String) -> Bool {
    var seen: Set<[UInt64]> = []
    var folders = [folder]
    while let folder = folders.popLast() {
      // Links may lead back.
      guard let status = FileStatus(folder), seen.insert(status.identity).inserted else { continue }
      for name in (try? Folder.contents(folder)) ?? [] {
        guard let found = FileStatus("\(folder)/\(name)") else { continue }
        if found.identity == file.identity { return true }
        if found.isFolder { folders.append("\(folder)/\(name)") }
      }
    }
    return false
  }

  private func check() throws {
    if kind == .newFolder { return try Folder.checkIsEmpty(path) }
    guard let status = FileStatus(path) else { return }
    if kind == .folder {
      if !status.isFolder { throw FileError(path, "is a file, expected a folder or a new name") }
      return
    }
    if status.isFolder { throw FileError(path, "is a folder, expected the name of a file") }
    if !status.isRegular { return }
    // Behind a link may be a file of a run, and a run's file may be a link.
    for name in [path, try location] {
      let (folder, name) = Folder.split(name)
      if RunFolder(folder).isInUse && RunFolder.owns(name) {
        throw FileError(path, "belongs to the run in '\(folder)': give another \(option)")
      }
    }
    let file = try MappedFile(path)
    let start = try file.withBytes { Array($0.prefix(16)) }
    if try !start.isEmpty && !(kind.matches(start, path) && kind.matches(file)) {
      throw FileError(
        path,
        "holds something else than \(kind.endings.joined(separator: " or ")) files do and would be lost: "
          + "give another \(option), or remove it")
    }
    if access(path, W_OK) != 0 { throw FileError.system(path, "cannot write") }
  }

  /// The path without links, as it will be once it is there.
  private var location: String {
    get throws {
      var above = try AtomicFile.target(of: path)
      var names: [String] = []
      while true {
        if let real = Folder.resolved(above) {
          return ([real == "/" ? "" : real] + names).joined(separator: "/")
        }
        let (folder, name) = Folder.split(above)
        if folder == above { return above }
        names.insert(name, at: 0)
        above = folder
      }
    }
  }

  private func makeFolder() throws {
    if isSpecial { return }
    let folder = kind == .folder ? path : Folder.split(path).folder
    try Folder.make(folder, removesUnused: true)
    if access(folder, W_OK) != 0 { throw FileError.system(folder, "cannot write") }
  }
}

/// What the system says of a file, at the end of all links.
private struct FileStatus {
  private var status = stat()

  /// Nil if there is none.
  init?(_ path: String) { if stat(path, &status) != 0 { return nil } }

  var isFolder: Bool { status.st_mode & S_IFMT == S_IFDIR }
  var isRegular: Bool { status.st_mode & S_IFMT == S_IFREG }
  var identity: [UInt64] { [UInt64(status.st_dev), UInt64(status.st_ino)] }
}
