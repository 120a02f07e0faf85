import GlowFiles
import GlowImages

/// Latents in a .npy file, [N, H·W·C]: a row holds ε of one image, split 0, split 1, …, top, each in
/// (row, column, channel) order. A vector [H·W·C] counts as one row. Files are written in float32, C order and
/// little-endian; what NumPy makes of them is read too: float64, big-endian and Fortran's order.
package struct LatentFile: Sendable {
  package let count: Int
  private let size: Int
  private let file: MappedFile
  private let dataOffset: Int
  private let isFortranOrdered: Bool
  /// 4 or 8.
  private let valueSize: Int
  private let isBigEndian: Bool

  /// - Parameter size: values of one image's latents.
  /// - Throws: `FileError` if the file is not there, or holds something else.
  package init(_ path: String, size: Int) throws {
    file = try MappedFile(path)
    let (header, offset) = try file.withBytes { try NumpyHeader.parse($0, path: path) }
    let shape = header.shape.count == 1 ? [1] + header.shape : header.shape
    let types = ["<f4", ">f4", "<f8", ">f8", "=f4", "=f8"]
    guard types.contains(header.dataType), shape.count == 2, shape[1] == size, shape[0] > 0 else {
      throw FileError(
        path,
        "holds \(header.dataType) of shape \(header.shape), expected f4 or f8 of [N, \(size)], N > 0, or [\(size)]"
      )
    }
    count = shape[0]
    self.size = size
    dataOffset = offset
    // A vector has no other order.
    isFortranOrdered = header.isFortranOrdered && header.shape.count == 2
    valueSize = header.dataType.hasSuffix("8") ? 8 : 4
    isBigEndian = header.dataType.hasPrefix(">")
  }

  /// Rows one after the other.
  ///
  /// - Throws: `FileError` if a value is not finite.
  package func rows(_ range: Range<Int>) throws -> [Float] {
    precondition(range.lowerBound >= 0 && range.upperBound <= count)
    let values = try file.withBytes { bytes in
      range.flatMap { row in
        (0..<size).map { column in
          let place = isFortranOrdered ? column * count + row : row * size + column
          return value(bytes, at: dataOffset + place * valueSize)
        }
      }
    }
    if let bad = values.firstIndex(where: { !$0.isFinite }) {
      throw FileError(
        file.path, "row \(range.lowerBound + bad / size) holds \(values[bad]), expected finite values")
    }
    return values
  }

  /// The header's length need not leave values aligned.
  private func value(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Float {
    if valueSize == 4 {
      let bits = bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
      return Float(bitPattern: isBigEndian ? UInt32(bigEndian: bits) : UInt32(littleEndian: bits))
    }
    let bits = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    return Float(Double(bitPattern: isBigEndian ? UInt64(bigEndian: bits) : UInt64(littleEndian: bits)))
  }

  /// Writes `count` rows of `size` values, handed to `append` one by one, as a whole file or not at all.
  ///
  /// - Throws: `FileError`, or what `body` throws.
  package static func write(
    to path: String, count: Int, size: Int, _ body: (_ append: ([Float]) throws -> Void) throws -> Void
  ) throws {
    try AtomicFile.write(to: path, size: count * size * MemoryLayout<Float>.stride) { file in
      try NumpyHeader(dataType: "<f4", shape: [count, size]).encoded().withUnsafeBytes { try file.append($0) }
      var written = 0
      try body { row in
        precondition(row.count == size)
        try row.withUnsafeBytes { try file.append($0) }
        written += 1
      }
      precondition(written == count, "a file of \(count) rows was given \(written)")
    }
  }

  /// Writes one vector, [size].
  ///
  /// - Throws: `FileError`.
  package static func write(_ vector: [Float], to path: String) throws {
    let header = NumpyHeader(dataType: "<f4", shape: [vector.count]).encoded()
    try header.withUnsafeBytes { header in
      try vector.withUnsafeBytes { try AtomicFile.write([header, $0], to: path) }
    }
  }
}
