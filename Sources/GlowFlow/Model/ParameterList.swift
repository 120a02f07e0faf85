import GlowKernels

/// A named array among a model's parameters.
public struct ParameterEntry: Sendable, Hashable {
  /// For instance `level0.step3.actnorm.bias`.
  public let name: String
  /// Row-major.
  public let shape: [Int]
  /// Where it starts in every slab that follows the list.
  public let offset: Int
  /// False for what is kept but not learned: permutations, signs, whether actnorm has been initialized.
  public let isTrainable: Bool

  public var count: Int { shape.reduce(1, *) }
  public var range: Range<Int> { offset..<(offset + count) }
}

/// The ordered list of a model's parameters.
///
/// Values, gradients, optimizer moments and moving averages are slabs with the same offsets. Optimizer,
/// checkpoints, gradient checks and `glow inspect` all walk this one list.
public struct ParameterList: Sendable {
  public private(set) var entries: [ParameterEntry] = []
  private var indices: [String: Int] = [:]

  /// Values in a slab that holds all entries. Entries follow each other without gaps.
  public private(set) var count = 0

  public init() {}

  /// Appends an entry and returns its offset.
  mutating func add(_ name: String, _ shape: [Int], isTrainable: Bool = true) -> Int {
    precondition(indices[name] == nil, "two parameters named \(name)")
    let entry = ParameterEntry(name: name, shape: shape, offset: count, isTrainable: isTrainable)
    indices[name] = entries.count
    entries.append(entry)
    count += entry.count
    return entry.offset
  }

  public subscript(name: String) -> ParameterEntry? { indices[name].map { entries[$0] } }

  /// The number of learned values.
  public var trainableCount: Int { entries.reduce(0) { $0 + ($1.isTrainable ? $1.count : 0) } }

  /// Runs of neighboring values that are all learned, in order.
  public var trainableRanges: [Range<Int>] {
    entries.reduce(into: []) { ranges, entry in
      guard entry.isTrainable else { return }
      if let last = ranges.last, last.upperBound == entry.offset {
        ranges[ranges.count - 1] = last.lowerBound..<entry.range.upperBound
      } else {
        ranges.append(entry.range)
      }
    }
  }
}
