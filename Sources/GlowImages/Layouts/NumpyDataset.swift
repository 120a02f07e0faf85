import GlowFiles

/// Images in one .npy file of bytes, in any of the forms of `ArrayLayout`.
package struct NumpyDataset: Dataset {
  package var shape: ImageShape { strides.shape }
  package var count: Int { strides.count }

  /// What was taken for what.
  let note: String?
  private let file: FileContent
  private let dataOffset: Int
  private let strides: ImageStrides

  /// - Throws: `FileError`.
  init(_ file: FileContent, layout: ArrayLayout? = nil) throws {
    let path = file.path
    let (header, offset) = try file.withBytes { try NumpyHeader.parse($0, path: path) }
    guard header.dataType.dropFirst() == "u1" else {
      throw FileError(
        path,
        "holds values of type '\(header.dataType)', expected bytes, '|u1': save them as uint8 in 0 to 255")
    }
    var note: String?
    strides = try ImageStrides(
      dimensions: header.shape, isFortranOrdered: header.isFortranOrdered, as: layout, path: path, note: &note
    )
    self.note = note
    self.file = file
    dataOffset = offset
  }

  package func source(_ index: Int) -> String { "\(file.path)#\(index)" }

  package func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) throws -> ImageTraits {
    try file.withBytes { bytes in
      strides.copy(index, of: UnsafeRawBufferPointer(rebasing: bytes.dropFirst(dataOffset)), into: pixels)
    }
    return []
  }
}
