/// What the name of a folder says by custom.
enum FolderName {
  /// The part that a folder is named after: "train", "Test", "val", "valid_32x32", "train2017", "training_set",
  /// "test_images", "Imagenet64_train_part1"; nil if none.
  static func part(_ name: ArraySlice<UInt8>) -> DataPart? {
    guard let (part, rest) = wordOfPart(name) else { return nil }
    return rest.isEmpty || withoutPiece(name) != RawPath.text(name) ? part : nil
  }

  /// "train_part" of "train_part1" and "train_part2", which are pieces of one folder.
  static func withoutPiece(_ name: ArraySlice<UInt8>) -> String {
    RawPath.text(name).replacing(/([Pp]art)[-_ ]?[0-9]+/) { $0.1 }
  }

  /// The part that a word in a folder's name says, whatever the others say, and those of these that say something: "birds" of
  /// "train_birds" and of "test-birds", which belong together.
  static func wordOfPart(_ name: ArraySlice<UInt8>) -> (part: DataPart, rest: [Substring])? {
    // "trainA" is two words.
    var words = ""
    for letter in RawPath.text(name) {
      if letter.isUppercase && words.last?.isLowercase == true { words.append(" ") }
      words.append(letter)
    }
    var rest = words.lowercased().split { !$0.isLetter }
    guard let place = rest.firstIndex(where: { partOfWord($0) != nil }) else { return nil }
    let part = partOfWord(rest.remove(at: place))!
    return (part, rest.filter { !plainWords.contains($0) })
  }

  private static func partOfWord(_ word: some StringProtocol) -> DataPart? {
    switch word {
    case "train", "training", "trainset", "trn": .train
    case "val", "valid", "validation", "valset", "validset": .valid
    case "test", "testing", "testset", "tst": .test
    default: nil
    }
  }

  /// What may stand beside the name of a part and says nothing.
  private static let plainWords: Set<Substring> = [
    "set", "data", "dataset", "split", "images", "image", "imgs", "img", "small", "large", "full", "part",
    "x",
  ]

  /// The part that one of the words of a file's name says.
  static func partOfAnyWord(_ name: some StringProtocol) -> DataPart? {
    name.lowercased().split { !$0.isLetter }.lazy.compactMap { partOfWord($0) }.first
  }

  /// The part that a file's name says, or else those of the folders on the way to it.
  static func partOfFile(_ name: String) -> DataPart? {
    let (folder, last) = DataFiles.split(name)
    return partOfAnyWord(last) ?? partOfAnyWord(folder)
  }

  /// Whether it only says that there are images in it, as in Tiny-ImageNet's `n01443537/images`, or that they are CelebA's.
  static func isImages(_ name: ArraySlice<UInt8>) -> Bool {
    let text = RawPath.text(name).lowercased()
    return ["images", "image", "imgs", "img"].contains(text) || text.hasPrefix("img_align_celeba")
  }

  /// Numbers come first, as numbers; other names in the order of their bytes.
  static func areInOrder(_ first: ArraySlice<UInt8>, _ second: ArraySlice<UInt8>) -> Bool {
    guard let (a, b) = digits(first).flatMap({ a in digits(second).map { (a, $0) } }) else {
      if (digits(first) == nil) != (digits(second) == nil) { return digits(first) != nil }
      return first.lexicographicallyPrecedes(second)
    }
    if a.count != b.count { return a.count < b.count }
    if !a.elementsEqual(b) { return a.lexicographicallyPrecedes(b) }
    return first.lexicographicallyPrecedes(second)
  }

  /// A whole number without the zeros before it, of any length; nil if it is none.
  private static func digits(_ name: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    guard !name.isEmpty, name.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    return name.drop { $0 == 0x30 }
  }
}

extension DataPart {
  /// The part to take where this one is asked for. Where nothing is called test, the images to choose a model by are held
  /// out too.
  func chosen(among parts: Set<DataPart>) -> DataPart {
    self == .test && !parts.contains(.test) ? .valid : self
  }

  /// What follows an error of a part that is not there: ", only of train and test (--split train or test)"; nothing where no part
  /// is there.
  static func only(of parts: Set<DataPart>) -> String {
    let names = allCases.filter(parts.contains).map(\.rawValue)
    if names.isEmpty { return "" }
    return ", only of \(names.joined(separator: " and ")) (--split \(names.joined(separator: " or ")))"
  }
}
