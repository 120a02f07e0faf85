import Foundation
import GlowFiles
import GlowKernels
import GlowTestSupport
import Testing

@testable import GlowStorage

/// A folder for a test's files, gone with it.
final class TemporaryFolder: Sendable {
  let path = FileManager.default.temporaryDirectory.appending(path: "glow-storage-\(UUID())").path

  init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

@Suite("Safetensors files")
struct SafetensorsTests {
  private let folder: TemporaryFolder
  private var path: String { "\(folder.path)/a.safetensors" }

  init() throws { folder = try TemporaryFolder() }

  /// A file of a header and as many bytes of data, each its own number.
  private func file(_ header: String, data: Int) throws -> SafetensorsFile {
    var bytes = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) }
    bytes += Array(header.utf8) + (0..<data).map { UInt8(truncatingIfNeeded: $0) }
    try AtomicFile.write(bytes, to: path)
    return try SafetensorsFile(path)
  }

  @Test("what is written is read back, and its data starts at a multiple of 8")
  func roundTrip() throws {
    let name = "quoted \" \\ / \u{1} ü 🙂"
    var writer = SafetensorsWriter(metadata: ["key": name])
    writer.add(name, shape: [2, 3], values: [1, -2, 3.5, 0.1, .pi, -0] as [Double])
    writer.add("float", shape: [], values: [0.1] as [Float])
    writer.add("bytes", shape: [3], values: [0, 128, 255] as [UInt8])
    writer.add("empty", shape: [0, 4], values: [] as [Float])
    writer.add("integers", shape: [2], values: [-7, .max] as [Int32])
    try writer.write(to: path)
    let file = try SafetensorsFile(path)
    #expect(file.metadata["key"] == name)
    #expect(file.entries.map(\.name) == [name, "float", "bytes", "empty", "integers"])
    #expect(file.entries[0].range.lowerBound % 8 == 0)
    #expect(try file.values(name, as: Double.self) == [1, -2, 3.5, 0.1, .pi, -0])
    #expect(try file.values("float", as: Double.self) == [Double(Float(0.1))])
    #expect(try file.values("bytes", as: Float.self) == [0, 128, 255])
    #expect(try file.values("empty", as: Float.self) == [])
    #expect(try file.values("integers", as: Double.self) == [-7, 2_147_483_647])
    #expect(file["float"]?.shape == [] && file["absent"] == nil)
    #expect(throws: FileError(path, "absent: is missing")) { try file.values("absent", as: Float.self) }
    try file.checkSums()
  }

  @Test(
    "tensors are not copied on their way to the file",
    .unsanitized("a sanitizer's memory counts too"))
  func noCopies() throws {
    // Pages that are only read take no memory of their own: a copy of them would.
    let slab = try Slab<Float>(count: 1 << 27)
    func residentBytes() throws -> Int {
      let fields = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
      return try #require(Int(fields[1])) * sysconf(Int32(_SC_PAGESIZE))
    }
    var writer = SafetensorsWriter()
    let before = try residentBytes()
    let bytes = 4 * slab.count
    let list = [Float](repeating: 1, count: slab.count / 4)
    writer.add("slab", shape: [slab.count], values: UnsafePointer(slab.base))
    writer.add("list", shape: [list.count], values: list)
    #expect(throws: FileError.self) { try writer.write(to: "\(folder.path)/missing/a") }
    // The list itself is there once; the tests beside this one take some.
    #expect(try residentBytes() - before < bytes / 2)
    withExtendedLifetime(slab) {}
  }

  @Test("half-precision values are read exactly")
  func halfPrecision() throws {
    let bytes = withUnsafeBytes(of: Float16(1.5)) { Array($0) } + [0xC0, 0x3F]
    let header =
      #"{"h":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},"b":{"dtype":"BF16","shape":[1],"data_offsets":[2,4]}}"#
    _ = try file(header, data: 4)
    var whole = try Data(contentsOf: URL(filePath: path))
    whole.replaceSubrange((whole.count - 4)..., with: bytes)
    try AtomicFile.write(Array(whole), to: path)
    let file = try SafetensorsFile(path)
    #expect(try file.values("h", as: Float.self) == [1.5])
    #expect(try file.values("b", as: Float.self) == [1.5])
  }

  @Test("the checksum is CRC-32, and a changed byte is found")
  func checksums() throws {
    #expect(Array("123456789".utf8).withUnsafeBytes { checksum($0) } == "cbf43926")
    var writer = SafetensorsWriter()
    writer.add("first", shape: [4], values: [1, 2, 3, 4] as [Float])
    writer.add("second", shape: [4], values: [1, 2, 3, 4] as [Float])
    try writer.write(to: path)
    var bytes = Array(try Data(contentsOf: URL(filePath: path)))
    bytes[bytes.count - 3] ^= 1
    try AtomicFile.write(bytes, to: path)
    let error = try #require(throws: FileError.self) { try SafetensorsFile(path).checkSums() }
    #expect(error.reason.hasPrefix("second: is damaged: its CRC-32 is "))
  }

  static let broken: [(header: String, data: Int, reason: String)] = [
    ("[]", 0, "is not a safetensors file: the header is not a JSON object"),
    (" {}", 0, "is not a safetensors file: the header is not a JSON object"),
    ("{}", 1, "the data ends at byte 10, the file at 11"),
    (entry("a", 0, 4), 0, "a: data_offsets [0, 4] are not inside the 0 bytes of data"),
    (entry("a", 4, 8), 8, "a: follows a hole: starts at byte 66, not 62"),
    (join(member("a", 0, 4), member("a", 4, 8)), 8, "the header names “a” twice"),
    (
      join(member("a", 0, 4), member("b", 0, 4)), 4,
      "b: overlaps the entry before it: starts at byte 115, not 119"
    ),
    (entry("a", 4, 0), 8, "a: data_offsets [4, 0] are not inside the 8 bytes of data"),
    (entry("a", 0, 4, shape: "[2]"), 4, "a: F32 of shape [2] does not fill its 4 bytes"),
    (
      entry("a", 0, 0, shape: "[4611686018427387904,4611686018427387904]"), 0,
      "a: F32 of shape [4611686018427387904, 4611686018427387904] does not fill its 0 bytes"
    ),
    (entry("a", 0, 4, type: "F33"), 4, "a: unknown dtype “F33”"),
    (#"{"a":{"dtype":"F32","shape":[1]}}"#, 4, "a: needs dtype, shape and two data_offsets"),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}"#, 4, "a: unexpected “x” or value of it"),
    (#"{"a":3}"#, 0, "a: is not an object"),
    (#"{"__metadata__":{"k":1}}"#, 0, "__metadata__: “k” is not a string"),
    (#"{"__metadata__":[]}"#, 0, "__metadata__ is not an object"),
    (#"{"a"#, 0, "the header is not valid JSON at its byte 3: expected the end of a string"),
    (
      #"{"a":-1}"#, 0,
      #"the header is not valid JSON at its byte 5: expected an object, a list, a string or a whole number"#
    ),
    (#"{"a":01}"#, 0, "the header is not valid JSON at its byte 7: expected no leading zero"),
    (#"{} x"#, 0, "the header is not valid JSON at its byte 3: expected nothing after the object"),
    (#"{"\ud800":1}"#, 0, "the header is not valid JSON at its byte 8: expected a pair of surrogates"),
    (
      #"{"a":[[[[[[[[[[1]]]]]]]]]]}"#, 0,
      "the header is not valid JSON at its byte 12: expected at most 8 nested values"
    ),
  ]

  private static func member(
    _ name: String, _ start: Int, _ end: Int, type: String = "F32", shape: String = "[1]"
  ) -> String {
    "\"\(name)\":{\"dtype\":\"\(type)\",\"shape\":\(shape),\"data_offsets\":[\(start),\(end)]}"
  }

  private static func join(_ members: String...) -> String { "{\(members.joined(separator: ","))}" }

  private static func entry(
    _ name: String, _ start: Int, _ end: Int, type: String = "F32", shape: String = "[1]"
  ) -> String { join(member(name, start, end, type: type, shape: shape)) }

  @Test("what the format forbids is refused with its reason", arguments: broken)
  func refusals(header: String, data: Int, reason: String) throws {
    #expect(throws: FileError(path, reason)) { try file(header, data: data) }
  }

  @Test("lengths that cannot be are refused before anything is read")
  func lengths() throws {
    let cases: [([UInt8], String)] = [
      ([1, 2], "is not a safetensors file: 2 bytes are too few for a header"),
      (
        [255, 255, 255, 255, 255, 255, 255, 255, 123],
        "is not a safetensors file: a header of 18446744073709551615 bytes is more than the format's 100000000"
      ),
      ([9, 0, 0, 0, 0, 0, 0, 0, 123], "is cut off: the header ends at byte 17, the file at 9"),
    ]
    for (bytes, reason) in cases {
      try AtomicFile.write(bytes, to: path)
      #expect(throws: FileError(path, reason)) { try SafetensorsFile(path) }
    }
  }

  @Test("no change of a header's bytes gets past the rules: what is accepted fills the file exactly")
  func damagedHeaders() throws {
    let whole = Array(
      ("{" + Self.member("ab", 0, 4) + "," + Self.member("c", 4, 12, shape: "[2]") + "}").utf8)
    var generator = SplitMix(state: 1)
    var accepted = 0
    for _ in 0..<20_000 {
      var text = whole
      for _ in 0...Int.random(in: 0..<3, using: &generator) {
        text[Int.random(in: 0..<text.count, using: &generator)] = UInt8.random(in: 0...127, using: &generator)
      }
      if Bool.random(using: &generator) { text.removeLast(Int.random(in: 0..<4, using: &generator)) }
      let file =
        withUnsafeBytes(of: UInt64(text.count).littleEndian) { Array($0) } + text
        + [UInt8](repeating: 0, count: 12)
      file.withUnsafeBytes { bytes in
        guard let header = try? SafetensorsHeader(bytes) else { return }
        accepted += 1
        #expect(header.entries.reduce(0) { $0 + $1.range.count } == 12)
        #expect(header.entries.allSatisfy { $0.range.upperBound <= bytes.count })
      }
    }
    // Changes inside a name leave a file whole.
    #expect(accepted > 100 && accepted < 10_000)
  }
}
