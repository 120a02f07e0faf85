/// Many names in one piece of memory: their characters and 8 bytes each.
struct NameList: Sendable {
  private var characters: [UInt8] = []
  /// Where each name ends in `characters`.
  private var ends: [Int] = []

  var count: Int { ends.count }

  mutating func append(_ name: String) {
    characters += name.utf8
    ends.append(characters.count)
  }

  subscript(index: Int) -> String {
    let start = index == 0 ? 0 : ends[index - 1]
    return String(decoding: characters[start..<ends[index]], as: UTF8.self)
  }
}
