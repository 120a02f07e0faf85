import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowKernels
import GlowLatents
import GlowTraining
import Testing

@Suite("Latents in files and in memory")
struct LatentFileTests {
  private let folder = FileManager.default.temporaryDirectory.appending(path: "glow-latents-\(UUID())").path
  private var path: String { "\(folder)/z.npy" }

  init() throws { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) }

  private func clean() { try? FileManager.default.removeItem(atPath: folder) }

  @Test("rows are read back in any range, a vector as one row")
  func roundTrip() throws {
    defer { clean() }
    let rows = (0..<5).map { normal(7, stream: $0) }
    try LatentFile.write(to: path, count: 5, size: 7) { append in for row in rows { try append(row) } }
    let file = try LatentFile(path, size: 7)
    #expect(try file.count == 5 && file.rows(0..<5) == Array(rows.joined()))
    #expect(try file.rows(2..<4) == rows[2] + rows[3])
    try LatentFile.write(rows[1], to: path)
    #expect(try LatentFile(path, size: 7).rows(0..<1) == rows[1])
  }

  @Test("what NumPy makes of latents is read: float64, big-endian, Fortran's order, one image alone")
  func ofNumpy() throws {
    defer { clean() }
    let rows = (0..<3).map { normal(5, stream: $0) }
    func bytes(_ values: [Float], _ type: String) -> [UInt8] {
      values.flatMap { value -> [UInt8] in
        var bytes =
          type.hasSuffix("8")
          ? withUnsafeBytes(of: Double(value).bitPattern.littleEndian, Array.init)
          : withUnsafeBytes(of: value.bitPattern.littleEndian, Array.init)
        if type.hasPrefix(">") { bytes.reverse() }
        return bytes
      }
    }
    for type in ["<f4", ">f4", "<f8", ">f8"] {
      for isFortranOrdered in [false, true] {
        let values =
          isFortranOrdered ? (0..<5).flatMap { column in rows.map { $0[column] } } : Array(rows.joined())
        let header = NumpyHeader(dataType: type, isFortranOrdered: isFortranOrdered, shape: [3, 5])
        try AtomicFile.write(header.encoded() + bytes(values, type), to: path)
        let file = try LatentFile(path, size: 5)
        #expect(
          try file.count == 3 && file.rows(0..<3) == Array(rows.joined()), "\(type) \(isFortranOrdered)")
        #expect(try file.rows(1..<2) == rows[1])
        // NumPy calls a vector both.
        let one = NumpyHeader(dataType: type, isFortranOrdered: isFortranOrdered, shape: [5])
        try AtomicFile.write(one.encoded() + bytes(rows[2], type), to: path)
        #expect(try LatentFile(path, size: 5).rows(0..<1) == rows[2])
      }
    }
    let large = NumpyHeader(dataType: "<f8", shape: [1])
    try AtomicFile.write(
      large.encoded() + withUnsafeBytes(of: 1e300.bitPattern.littleEndian, Array.init), to: path)
    #expect(throws: FileError.self) { try LatentFile(path, size: 1).rows(0..<1) }
  }

  @Test("other shapes, types and values are refused, and a failure in between leaves no file")
  func refusals() throws {
    defer { clean() }
    try LatentFile.write(normal(7, stream: 0), to: path)
    #expect(throws: FileError(path, "holds <f4 of shape [7], expected f4 or f8 of [N, 8], N > 0, or [8]")) {
      try LatentFile(path, size: 8)
    }
    try AtomicFile.write(
      NumpyHeader(dataType: "<i8", shape: [1]).encoded() + [UInt8](repeating: 0, count: 8), to: path)
    #expect(throws: FileError.self) { try LatentFile(path, size: 1) }
    try LatentFile.write(to: path, count: 2, size: 2) { append in
      try append([1, 2])
      try append([3, .nan])
    }
    #expect(throws: FileError(path, "row 1 holds nan, expected finite values")) {
      try LatentFile(path, size: 2).rows(0..<2)
    }
    struct Failure: Error {}
    #expect(throws: Failure.self) {
      try LatentFile.write(to: "\(folder)/half.npy", count: 2, size: 1) { append in
        try append([1])
        throw Failure()
      }
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["z.npy"])
  }

  @Test("images come back bit by bit, those of another shape are refused")
  func space() throws {
    defer { clean() }
    var configuration = GlowConfiguration()
    configuration.depth = 2
    configuration.width = 16
    let space = try LatentSpace(
      try Glow<Float>(configuration: configuration, seed: 1, team: ThreadTeam(count: 2)), batch: 2)
    let images = try (0..<3).map { try FaceDataset(count: 3, seed: 0, part: .test).image($0) }
    #expect(try space.decode(space.encode(images)) == images)
    #expect(try space.encode([]).isEmpty && space.decode([]).isEmpty)
    let small = ByteImage(shape: ImageShape(height: 1, width: 1, channels: 3), pixels: [1, 2, 3])
    #expect(throws: TrainingError.self) { try space.encode([small]) }
    let vector = normal(3072, stream: 3)
    #expect(LatentPath.shifted([1, 2], by: [[1, 0], [0.5, 1]], strength: 2) == [4, 4])
    #expect(LatentPath.shifted(vector, by: [vector], strength: -1).allSatisfy { $0 == 0 })
  }
}
