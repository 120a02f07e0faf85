import GlowFiles

/// The PNG files of a folder: all in it, or one folder a class.
struct FolderContents {
  let base: RawPath
  /// In the folder itself.
  var flat = NameList()
  /// The images of each class folder that has any.
  var classes: [[UInt8]: NameList] = [:]

  /// - Parameter names: what is in the folder, if it has been listed already.
  /// - Throws: `FileError`.
  init(of base: RawPath, names: NameList? = nil) throws {
    self.base = base
    let names = try names ?? base.list()
    for index in 0..<names.count {
      let name = names.bytes(index)
      if ImageFolderDataset.isPNG(name) {
        flat.append(name)
        continue
      }
      let folder = base.appending(name)
      if !folder.isFolder { continue }
      let inside = try folder.list()
      var images = NameList()
      for index in 0..<inside.count where ImageFolderDataset.isPNG(inside.bytes(index)) {
        images.append(inside.bytes(index))
      }
      if images.count > 0 { classes[Array(name)] = images }
    }
  }

  /// All images, those of one class after those of the other, and their places in `classes`.
  ///
  /// - Throws: `FileError` if some are in no class where there are classes.
  func images(_ classes: [[UInt8]]) throws -> (names: NameList, labels: [UInt32]) {
    if flat.count > 0, let folder = classes.first {
      throw FileError(
        base.text,
        "holds images, such as \(flat[0]), and also folders of images, such as \(RawPath.text(folder[...]))")
    }
    var names = flat
    var labels: [UInt32] = []
    for (label, folder) in classes.enumerated() {
      guard let images = self.classes[folder] else { continue }
      for index in 0..<images.count {
        names.append(folder + [UInt8(ascii: "/")] + images.bytes(index))
        labels.append(UInt32(label))
      }
    }
    return (names, labels)
  }
}
