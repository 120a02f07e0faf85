import GlowKernels

/// A named array among a model's parameters.
package struct ParameterEntry: Sendable, Hashable {
  /// For instance `level0.step3.actnorm.bias`.
  package let name: String
  /// Row-major.
  package let shape: [Int]
  /// Where it starts in every slab that follows the list.
  package let offset: Int
  /// What changes the entry.
  package let role: Role

  /// What changes an entry.
  package enum Role: Sendable {
    /// The optimizer.
    case learned
    /// The optimizer, and weight decay if there is any: the filters of convolutions, or the lengths of filters that are
    /// normalized.
    case decayed
    /// Nothing, once it has been set: permutations, signs, whether actnorm has been initialized.
    case fixed
    /// Every batch of training: means and variances that evaluation normalizes with.
    case statistic
  }

  /// Whether the optimizer changes it.
  package var isTrainable: Bool {
    switch role {
    case .learned, .decayed: true
    case .fixed, .statistic: false
    }
  }

  /// Whether it is the matrix of a convolution, [taps, inputs, outputs] or [inputs, outputs] as it is stored.
  package var isFilter: Bool { role == .decayed && shape.count > 1 }

  package var count: Int { shape.reduce(1, *) }
  package var range: Range<Int> { offset..<(offset + count) }
}

/// The ordered list of a model's parameters.
///
/// Values, gradients, optimizer moments and moving averages are slabs with the same offsets. Optimizer,
/// checkpoints, gradient checks and `glow inspect` all walk this one list.
package struct ParameterList: Sendable {
  package private(set) var entries: [ParameterEntry] = []
  private var indices: [String: Int] = [:]

  /// Values in a slab that holds all entries. Entries follow each other without gaps.
  package private(set) var count = 0

  package init() {}

  /// Appends an entry and returns its offset.
  mutating func add(_ name: String, _ shape: [Int], _ role: ParameterEntry.Role = .learned) -> Int {
    precondition(indices[name] == nil, "two parameters named \(name)")
    let entry = ParameterEntry(name: name, shape: shape, offset: count, role: role)
    indices[name] = entries.count
    entries.append(entry)
    count += entry.count
    return entry.offset
  }

  package subscript(name: String) -> ParameterEntry? { indices[name].map { entries[$0] } }

  /// The number of learned values.
  package var trainableCount: Int { entries.reduce(0) { $0 + ($1.isTrainable ? $1.count : 0) } }

  /// Runs of neighboring values that are all learned, in order.
  package var trainableRanges: [Range<Int>] { ranges { $0.isTrainable } }

  /// Runs of neighboring values of one role, in order.
  package func ranges(of role: ParameterEntry.Role) -> [Range<Int>] { ranges { $0.role == role } }

  /// Runs of neighboring values of wanted entries, in order.
  package func ranges(where isWanted: (ParameterEntry) -> Bool) -> [Range<Int>] {
    entries.reduce(into: []) { ranges, entry in
      guard isWanted(entry) else { return }
      if let last = ranges.last, last.upperBound == entry.offset {
        ranges[ranges.count - 1] = last.lowerBound..<entry.range.upperBound
      } else {
        ranges.append(entry.range)
      }
    }
  }
}
