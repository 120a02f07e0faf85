import GlowFiles

/// The pickled dictionaries of CIFAR's Python version: texts, numbers, lists of either, and arrays of bytes.
///
/// A pickle is a program. This knows the instructions that such files need and refuses every other; nothing is called:
/// of the functions that may be named, those that rebuild a NumPy array and make bytes of a text, it is known what they
/// would do.
enum Pickle {
  enum Value {
    case numbers([Int])
    case texts([String])
    /// An array of bytes.
    case array(shape: [Int], data: Bytes)
    /// What nobody asks for.
    case other
  }

  /// Where the bytes of an array stand in the file.
  struct Bytes {
    let range: Range<Int>
    /// Whether they are there as the characters of a text in UTF-8, which is how Python 3 writes bytes for Python 2.
    var isText = false

    /// - Parameter file: all of its bytes.
    /// - Throws: `FileError` if a character is no byte.
    func decoded(_ file: UnsafeRawBufferPointer, path: String) throws -> [UInt8] {
      let stored = file[range]
      if !isText { return Array(stored) }
      var bytes: [UInt8] = []
      bytes.reserveCapacity(stored.count)
      var rest = stored.makeIterator()
      while let first = rest.next() {
        if first < 0x80 {
          bytes.append(first)
        } else if first & 0xFC == 0xC0, let second = rest.next(), second & 0xC0 == 0x80 {
          bytes.append(first << 6 | second & 0x3F)
        } else {
          throw FileError(path, "is a damaged pickle: it has a character that is no byte")
        }
      }
      return bytes
    }
  }

  /// - Throws: `FileError` with the first instruction that is not known.
  static func read(_ bytes: UnsafeRawBufferPointer, path: String) throws -> [String: Value] {
    var machine = Machine(bytes: bytes, path: path)
    return try machine.run()
  }

  /// What may stand on the stack. Lists and tuples hold plain values only, so that nothing can hold itself.
  private enum Item {
    case number(Int)
    /// Where it stands in the file.
    case text(Range<Int>)
    /// Its place among the lists, which grow after they have been stored.
    case list(Int)
    /// Of a few numbers: a shape.
    case numbers([Int])
    case dictionary
    case arrayFunction
    case bufferFunction
    case typeFunction
    case encodeFunction
    /// Two texts, and the bytes that the first one is.
    case texts(Range<Int>, Range<Int>)
    case encoded(Range<Int>)
    /// What a type is made of: its name, "u1", comes first.
    case typeName(Range<Int>)
    /// Of an array's values.
    case type(isByte: Bool)
    case array(shape: [Int], data: Bytes)
    /// What fills an array: its shape and its bytes.
    case arrayState(shape: [Int], data: Bytes)
    case yes
    case other
  }

  private struct Machine {
    let bytes: UnsafeRawBufferPointer
    let path: String
    private var at = 0
    private var stack: [Item] = []
    private var marks: [Int] = []
    private var memo: [Int: Item] = [:]
    private var lists: [[Item]] = []
    private var result: [String: Value]?
    /// How often a key has been given a value: each costs the time of a list.
    private var settings = 0

    init(bytes: UnsafeRawBufferPointer, path: String) {
      self.bytes = bytes
      self.path = path
    }

    mutating func run() throws -> [String: Value] {
      while true {
        let code = UInt8(try number(1))
        switch code {
        case 0x80: if try !(2...5).contains(number(1)) { throw damaged("a protocol that is not known") }
        // A frame only says how much may be read at once.
        case 0x95: _ = try number(8)
        case UInt8(ascii: "."):
          guard case .dictionary = try pop(), stack.isEmpty, let result else {
            throw damaged("no dictionary")
          }
          return result
        case UInt8(ascii: "}"):
          if result != nil { throw damaged("more than one dictionary") }
          result = [:]
          stack.append(.dictionary)
        case UInt8(ascii: "]"):
          stack.append(.list(lists.count))
          lists.append([])
        case UInt8(ascii: "("): marks.append(stack.count)
        case UInt8(ascii: "q"): try remember(number(1))
        case UInt8(ascii: "r"): try remember(number(4))
        case 0x94: try remember(memo.count)
        case UInt8(ascii: "h"): try recall(number(1))
        case UInt8(ascii: "j"): try recall(number(4))
        case UInt8(ascii: "U"), UInt8(ascii: "C"), 0x8C: try stack.append(.text(take(number(1))))
        case UInt8(ascii: "T"), UInt8(ascii: "X"), UInt8(ascii: "B"): try stack.append(.text(take(number(4))))
        // Texts, bytes and byte arrays with their lengths in 8 bytes.
        case 0x8D, 0x8E, 0x96: try stack.append(.text(take(number(8))))
        case UInt8(ascii: "K"): stack.append(.number(try number(1)))
        case UInt8(ascii: "M"): stack.append(.number(try number(2)))
        case UInt8(ascii: "J"): stack.append(.number(Int(Int32(truncatingIfNeeded: try number(4)))))
        case 0x88: stack.append(.yes)
        // None, false and the empty tuple.
        case UInt8(ascii: "N"), 0x89, UInt8(ascii: ")"): stack.append(.other)
        case 0x85, 0x86, 0x87: stack.append(try tuple(pop(Int(code) - 0x84)))
        case UInt8(ascii: "t"): stack.append(try tuple(popToMark()))
        case UInt8(ascii: "a"): try append(pop(1))
        case UInt8(ascii: "e"): try append(popToMark())
        case UInt8(ascii: "s"): try set(pop(2))
        case UInt8(ascii: "u"): try set(popToMark())
        case UInt8(ascii: "c"): try function(line() + "." + line())
        case 0x93: try function(pop(2))
        case UInt8(ascii: "R"): try call()
        case UInt8(ascii: "b"): try build()
        default: throw damaged("the instruction \(code) at byte \(at - 1), which is not followed")
        }
      }
    }

    // MARK: The file

    private func damaged(_ reason: String) -> FileError {
      FileError(path, "is not a pickle of CIFAR's: it has \(reason)")
    }

    private mutating func take(_ count: Int) throws -> Range<Int> {
      if count > bytes.count - at { throw FileError(path, "is a damaged pickle: it ends early") }
      defer { at += count }
      return at..<at + count
    }

    private mutating func number(_ size: Int) throws -> Int {
      let value = bytes[try take(size)].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      return Int(clamping: value)
    }

    private mutating func line() throws -> String {
      guard let end = bytes[at...].prefix(64).firstIndex(of: 10) else { throw damaged("no end of a name") }
      defer { at = end + 1 }
      return String(decoding: bytes[at..<end], as: UTF8.self)
    }

    private func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

    // MARK: The stack

    private mutating func pop() throws -> Item {
      // What stands below a mark belongs to who set it.
      guard stack.count > marks.last ?? 0 else { throw damaged("too little on its stack") }
      return stack.removeLast()
    }

    private mutating func pop(_ count: Int) throws -> [Item] {
      try (0..<count).map { _ in try pop() }.reversed()
    }

    private mutating func popToMark() throws -> [Item] {
      guard let mark = marks.popLast() else { throw damaged("no mark on its stack") }
      defer { stack.removeSubrange(mark...) }
      return Array(stack[mark...])
    }

    private mutating func remember(_ place: Int) throws {
      guard let top = stack.last else { throw damaged("too little on its stack") }
      memo[place] = top
    }

    private mutating func recall(_ place: Int) throws {
      guard let item = memo[place] else { throw damaged("nothing stored under \(place)") }
      stack.append(item)
    }

    // MARK: Values

    private func tuple(_ items: [Item]) throws -> Item {
      // Of an array: a version, its shape, its type, whether it is in Fortran's order, and its bytes.
      if items.count == 5, case .numbers(let shape) = items[1], case .type(isByte: true) = items[2],
        let data = bytes(items[4])
      {
        if case .yes = items[3] { throw damaged("an array in Fortran's order") }
        return .arrayState(shape: shape, data: data)
      }
      // The same as the arguments of the function of newer protocols.
      if items.count == 4, let data = bytes(items[0]), case .type(isByte: true) = items[1],
        case .numbers(let shape) = items[2], case .text(let order) = items[3]
      {
        if text(order) != "C" { throw damaged("an array in Fortran's order") }
        return .arrayState(shape: shape, data: data)
      }
      if items.count == 3, case .text(let name) = items[0] { return .typeName(name) }
      if items.count == 2, case .text(let first) = items[0], case .text(let second) = items[1] {
        return .texts(first, second)
      }
      let numbers = items.compactMap { if case .number(let value) = $0 { value } else { nil } }
      return numbers.count == items.count && items.count <= 3 ? .numbers(numbers) : .other
    }

    private func bytes(_ item: Item) -> Bytes? {
      switch item {
      case .text(let range): Bytes(range: range)
      case .encoded(let range): Bytes(range: range, isText: true)
      default: nil
      }
    }

    private mutating func append(_ items: [Item]) throws {
      guard case .list(let list) = try pop() else { throw damaged("no list to add to") }
      for item in items {
        switch item {
        // Names may be bytes that Python 3 writes for Python 2.
        case .number, .text, .encoded: lists[list].append(asText(item))
        default: throw damaged("a list of other things than numbers and texts")
        }
      }
      stack.append(.list(list))
    }

    private mutating func set(_ items: [Item]) throws {
      guard case .dictionary = try pop(), items.count % 2 == 0 else {
        throw damaged("no dictionary to add to")
      }
      stack.append(.dictionary)
      for pair in stride(from: 0, to: items.count, by: 2) {
        guard case .text(let key) = asText(items[pair]) else { throw damaged("a key that is no text") }
        if key.count > 64 { throw damaged("a key of \(key.count) bytes") }
        settings += 1
        if settings > 64 { throw damaged("too many keys") }
        let value = self.value(items[pair + 1])
        let name = text(key)
        result?[name] = value
      }
    }

    /// Bytes of ASCII are the text itself.
    private func asText(_ item: Item) -> Item {
      if case .encoded(let range) = item { .text(range) } else { item }
    }

    private func value(_ item: Item) -> Value {
      switch item {
      case .array(let shape, let data): return .array(shape: shape, data: data)
      case .list(let list):
        let numbers = lists[list].compactMap { if case .number(let value) = $0 { value } else { nil } }
        if numbers.count == lists[list].count { return .numbers(numbers) }
        // Names of classes; those of all files are many, and nobody asks for them.
        if lists[list].count > 1000 { return .other }
        let texts = lists[list].compactMap { item -> String? in
          if case .text(let range) = item, range.count <= 256 { text(range) } else { nil }
        }
        return texts.count == lists[list].count ? .texts(texts) : .other
      default: return .other
      }
    }

    // MARK: Functions, which are known and not called

    private mutating func function(_ names: [Item]) throws {
      guard case .text(let module) = names[0], case .text(let name) = names[1] else {
        throw damaged("a function whose name is no text")
      }
      try function(text(module) + "." + text(name))
    }

    private mutating func function(_ name: String) throws {
      switch name {
      case "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct":
        stack.append(.arrayFunction)
      case "numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer":
        stack.append(.bufferFunction)
      case "numpy.dtype": stack.append(.typeFunction)
      case "numpy.ndarray": stack.append(.other)
      case "_codecs.encode": stack.append(.encodeFunction)
      default: throw damaged("the function \(name), which is not called")
      }
    }

    private mutating func call() throws {
      let arguments = try pop()
      switch (try pop(), arguments) {
      case (.arrayFunction, _): stack.append(.array(shape: [], data: Bytes(range: 0..<0)))
      case (.bufferFunction, .arrayState(let shape, let data)): stack.append(.array(shape: shape, data: data))
      // Of values that are no bytes.
      case (.bufferFunction, _): stack.append(.other)
      case (.typeFunction, .typeName(let name)):
        stack.append(.type(isByte: ["u1", "|u1"].contains(text(name))))
      case (.encodeFunction, .texts(let characters, let encoding)):
        if text(encoding) != "latin1" { throw damaged("bytes of a text that are not those of Latin-1") }
        stack.append(.encoded(characters))
      default: throw damaged("a call of no function")
      }
    }

    /// Gives an array or a type its state.
    private mutating func build() throws {
      let state = try pop()
      switch (try pop(), state) {
      case (.array, .arrayState(let shape, let data)): stack.append(.array(shape: shape, data: data))
      case (.type(let isByte), _): stack.append(.type(isByte: isByte))
      // Of values that are no bytes.
      case (.array, .other), (.other, _): stack.append(.other)
      default: throw damaged("a state that fits nothing")
      }
    }
  }
}
