/// Many names in one piece of memory: their bytes, which need not be UTF-8, and 8 bytes each.
struct NameList: Sendable {
  private var characters: [UInt8] = []
  /// Where each name ends in `characters`.
  private var ends: [Int] = []
  /// Files beside these whose names begin with a point, and folders of such names.
  var hiddenCount = 0

  var count: Int { ends.count }

  mutating func append(_ name: some Sequence<UInt8>) {
    characters += name
    ends.append(characters.count)
  }

  func bytes(_ index: Int) -> ArraySlice<UInt8> {
    characters[(index == 0 ? 0 : ends[index - 1])..<ends[index]]
  }

  /// A name for a person to read.
  subscript(index: Int) -> String { RawPath.text(bytes(index)) }

  /// In the order of their bytes.
  func sorted() -> NameList {
    let order = (0..<count).sorted { bytes($0).lexicographicallyPrecedes(bytes($1)) }
    var result = NameList()
    result.hiddenCount = hiddenCount
    for index in order { result.append(bytes(index)) }
    return result
  }
}
