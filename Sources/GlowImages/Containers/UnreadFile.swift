import GlowFiles

/// Kinds of files that hold data and are not read, so that a person is told what to do with them.
enum UnreadFile {
  /// Of a file's first bytes, those that tell.
  static let startSize = 8

  private static let kinds: [(start: [UInt8], name: String, advice: String)] = [
    ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0], "compressed by xz", "unxz it first"),
    (Array("BZh".utf8), "compressed by bzip2", "bunzip2 it first"),
    ([0x28, 0xB5, 0x2F, 0xFD], "compressed by zstd", "unzstd it first"),
    ([0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C], "a 7z archive", "unpack it first"),
    (Array("Rar!".utf8), "a RAR archive", "unpack it first"),
    ([0x89, 0x48, 0x44, 0x46], "an HDF5 file", "save its arrays with numpy.savez"),
    (Array("PAR1".utf8), "a Parquet file", "write its images as files"),
  ]

  /// - Parameter start: a file's first bytes.
  /// - Throws: `FileError` if it is one of these.
  static func refuse(_ start: [UInt8], path: String) throws {
    guard let kind = kinds.first(where: { start.starts(with: $0.start) }) else { return }
    throw FileError(path, "is \(kind.name), which is not read: \(kind.advice)")
  }
}

extension DataFiles {
  /// Where nothing is known to be data: says what it is that a person may have meant.
  ///
  /// - Throws: `FileError` if there is no image, and a file of a kind that is not read.
  func refuseUnread() throws {
    if imageCount > 0 { return }
    // Images may have any name, so that all may have to be looked at.
    for name in others.prefix(Self.mostLookedAt) {
      let path = container.path(of: Array(name.utf8)[...])
      if container.isArchive, !(container is SingleFile), Self.isArchive(name) {
        throw FileError(path, "is an archive in another: unpack \(container.path) and give the folder")
      }
      let start = (try? container.start(of: name, UnreadFile.startSize)) ?? []
      try UnreadFile.refuse(start, path: path)
      let last = Self.split(name).name
      if start.first == 0x80, last.hasPrefix("train_data_batch_") || last == "val_data" {
        throw FileError(
          path,
          "is a pickle as ImageNet32 comes in for Python, which is not read: take its .npz files, or save data and "
            + "labels of each with numpy.savez")
      }
    }
  }

  private static let mostLookedAt = 100
}
