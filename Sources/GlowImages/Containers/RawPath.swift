import Foundation
import Glibc
import GlowFiles

/// A path as the system has it, in bytes that need not be UTF-8, and as a person reads it.
struct RawPath: Sendable {
  let bytes: [UInt8]
  let text: String

  init(_ text: String) {
    bytes = Array(text.utf8)
    self.text = text
  }

  private init(bytes: [UInt8], text: String) {
    self.bytes = bytes
    self.text = text
  }

  /// What is called `name` in this folder.
  func appending(_ name: ArraySlice<UInt8>) -> RawPath {
    RawPath(bytes: bytes + [UInt8(ascii: "/")] + name, text: "\(text)/\(Self.text(name))")
  }

  func appending(_ name: String) -> RawPath { appending(Array(name.utf8)[...]) }

  /// A name as it is if it is UTF-8, else with every byte that is not ASCII written like \xE9.
  static func text(_ name: ArraySlice<UInt8>) -> String {
    if let text = String(validating: name, as: UTF8.self) { return text }
    return name.map { $0 < 0x80 ? String(UnicodeScalar($0)) : String(format: "\\x%02X", $0) }.joined()
  }

  /// The name that `text` has written with escapes; nil if there are none.
  static func bytes(ofShown text: String) -> [UInt8]? {
    let characters = Array(text.utf8)
    var bytes: [UInt8] = []
    var place = 0
    while place < characters.count {
      let escape = characters[place...].prefix(4)
      if escape.count == 4, escape.starts(with: Array("\\x".utf8)),
        let byte = UInt8(String(decoding: escape.suffix(2), as: UTF8.self), radix: 16), byte >= 0x80
      {
        bytes.append(byte)
        place += 4
      } else {
        bytes.append(characters[place])
        place += 1
      }
    }
    return bytes.count == characters.count ? nil : bytes
  }

  /// - Throws: `FileError`.
  func open() throws -> MappedFile { try MappedFile(bytes: bytes, path: text) }

  var isFolder: Bool {
    var status = stat()
    return withCString { stat($0, &status) } == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// Bytes of a file, nil if there is none.
  var size: Int? {
    var status = stat()
    return withCString { stat($0, &status) } == 0 ? Int(status.st_size) : nil
  }

  /// Calls `body` with every entry of this folder but the hidden ones, in no order. Calls `opendir` and `readdir`.
  ///
  /// - Returns: how many hidden ones there are.
  /// - Throws: `FileError`.
  func forEachEntry(_ body: (_ name: [UInt8], _ isFolder: Bool) -> Void) throws -> Int {
    guard let stream = withCString({ opendir($0) }) else {
      throw FileError.system(text, "cannot list the folder")
    }
    defer { closedir(stream) }
    var hiddenCount = 0
    errno = 0
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
      if name.first != UInt8(ascii: ".") {
        switch Int(entry.pointee.d_type) {
        case Int(DT_DIR): body(name, true)
        case Int(DT_REG): body(name, false)
        // A link, or a file system that does not say.
        default: body(name, appending(name[...]).isFolder)
        }
      } else if name != Array(".".utf8) && name != Array("..".utf8) {
        hiddenCount += 1
      }
      errno = 0
    }
    if errno != 0 { throw FileError.system(text, "cannot list the folder") }
    return hiddenCount
  }

  private func withCString<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
    (bytes.map { CChar(bitPattern: $0) } + [0]).withUnsafeBufferPointer { body($0.baseAddress!) }
  }
}
