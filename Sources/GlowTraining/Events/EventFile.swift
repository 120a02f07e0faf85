import Foundation
import Glibc
import GlowFiles

/// An event file of TensorBoard that is being written: records of `Event` messages.
///
/// A record is the length of its data (8 bytes), the length's masked CRC-32C (4), the data, and their masked
/// CRC-32C (4), all little-endian (TensorFlow, `core/lib/io/record_writer.h`). The messages are those of
/// TensorBoard's `event.proto` and `summary.proto`.
final class EventFile {
  private let path: String
  private let descriptor: Int32

  /// Makes a new file in a folder; its name ends in the present time, so that files of later starts sort behind it.
  ///
  /// - Throws: `FileError`.
  init(in folder: String) throws {
    try Folder.make(folder)
    var (descriptor, path) = (Int32(-1), "")
    repeat {
      let nanoseconds = Int(Date().timeIntervalSince1970 * 1e9)
      path = String(
        format: "%@/%@%010d.%09d.glow", folder, EventFile.prefix, nanoseconds / 1_000_000_000,
        nanoseconds % 1_000_000_000)
      descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0o666)
    } while descriptor < 0 && errno == EEXIST
    if descriptor < 0 { throw FileError.system(path, "cannot write") }
    self.descriptor = descriptor
    self.path = path
    var event = EventFile.event(step: 0)
    event.add(3, "brain.Event:2")
    try append(event)
  }

  deinit { close(descriptor) }

  private static let prefix = "events.out.tfevents."

  /// Whether a folder holds event files.
  /// Whether a name is that of an event file.
  static func isName(_ name: String) -> Bool { name.hasPrefix(prefix) }

  static func exist(in folder: String) -> Bool {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.contains { $0.hasPrefix(prefix) }
  }

  /// Tells readers to forget what earlier records say of `step` and later.
  ///
  /// - Throws: `FileError`.
  func restart(at step: Int) throws {
    var session = ProtocolMessage()
    session.add(1, 1)  // Status START.
    var event = EventFile.event(step: step)
    event.add(7, session)
    try append(event)
  }

  /// - Throws: `FileError`.
  func append(step: Int, scalars: [(tag: String, value: Double)]) throws {
    var summary = ProtocolMessage()
    for (tag, number) in scalars {
      var value = ProtocolMessage()
      value.add(1, tag)
      value.add(2, Float(number))
      summary.add(1, value)
    }
    try append(step, summary)
  }

  /// - Parameters:
  ///   - png: a PNG file's bytes.
  ///   - channels: 1 (gray) or 3 (RGB).
  /// - Throws: `FileError`.
  func append(step: Int, tag: String, png: [UInt8], height: Int, width: Int, channels: Int) throws {
    var image = ProtocolMessage()
    image.add(1, height)
    image.add(2, width)
    image.add(3, channels)
    image.add(4, png)
    var value = ProtocolMessage()
    value.add(1, tag)
    value.add(4, image)
    var summary = ProtocolMessage()
    summary.add(1, value)
    try append(step, summary)
  }

  /// Brings all records onto the disk.
  ///
  /// - Throws: `FileError`.
  func synchronize() throws { try GlowFiles.synchronize(descriptor, path: path) }

  private func append(_ step: Int, _ summary: ProtocolMessage) throws {
    var event = EventFile.event(step: step)
    event.add(5, summary)
    try append(event)
  }

  private static func event(step: Int) -> ProtocolMessage {
    var event = ProtocolMessage()
    event.add(1, Date().timeIntervalSince1970)
    event.add(2, step)
    return event
  }

  /// A crash leaves whole records, or a torn last one that readers pass over.
  private func append(_ event: ProtocolMessage) throws {
    try appendAll(EventFile.record(event.bytes), to: descriptor, path: path)
  }

  static func record(_ data: [UInt8]) -> [UInt8] {
    let length = littleEndian(UInt64(data.count))
    return length + littleEndian(CRC32C.masked(length)) + data + littleEndian(CRC32C.masked(data))
  }
}
