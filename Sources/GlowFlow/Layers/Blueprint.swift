import GlowKernels

/// Where layers, while they are being made, book all that they need: parameters, folded weights, buffers, and the
/// products that their rows go through.
struct Blueprint {
  private(set) var parameters = ParameterList()
  /// Folded weights of the layers that have been placed.
  private(set) var weights = Reservation()
  /// The panels of their matrices, and those of the transposes.
  private(set) var panels = Reservation()
  private(set) var transposedPanels = Reservation()
  private var needs = LayerNeeds()
  private var placed = 0

  mutating func parameter(
    _ name: String, _ shape: [Int], _ role: ParameterEntry.Role = .learned
  ) -> Parameter {
    Parameter(offset: parameters.add(name, shape, role), count: shape.reduce(1, *))
  }

  /// A parameter with so many values that its gradient, unlike others, is not cleared before it is written: the layer's
  /// `foldBackward` writes all of it, or adds to all of it, as `ParameterValues.lacksFilters` says.
  mutating func filter(_ name: String, _ shape: [Int]) -> Parameter {
    let filter = parameter(name, shape, .decayed)
    needs.filters.append(filter.offset..<filter.offset + filter.count)
    return filter
  }

  /// A matrix among the folded weights.
  ///
  /// - Parameter taps: of a convolution that goes back by `Weights.multiplyAdjoint`.
  mutating func matrix(_ rows: Int, _ columns: Int, taps: Int = 1) -> WeightMatrix {
    needs.weights.matrix(rows, columns, taps: taps)
  }

  /// A vector among the folded weights.
  mutating func vector(_ count: Int) -> WeightVector { needs.weights.vector(count) }

  /// A matrix that only the inverse needs (`Foldable.foldInverse`).
  mutating func inverseMatrix(_ rows: Int, _ columns: Int) -> WeightMatrix {
    needs.inverse.matrix(rows, columns)
  }

  /// A vector that only the inverse needs.
  mutating func inverseVector(_ count: Int) -> WeightVector { needs.inverse.vector(count) }

  /// Rows of `columns` values, one a position.
  mutating func buffer(columns: Int, _ life: BufferLife, isForBackward: Bool = false) -> Buffer {
    add(BufferNeed(size: .rows(columns: columns), life: life, isForBackward: isForBackward))
  }

  /// Room for a band and a border of one position all round (`gatherPatches`, `scatterPatches`).
  mutating func bordered(channels: Int) -> Buffer {
    add(BufferNeed(size: .bordered(channels: channels), life: .stage, isForBackward: false))
  }

  private mutating func add(_ need: BufferNeed) -> Buffer {
    needs.buffers.append(need)
    return Buffer(index: needs.buffers.count - 1)
  }

  /// Statistics of some channels over all positions of a batch: the layer has stages at which all tiles meet
  /// (`Stage.batch`).
  mutating func statistics(channels: Int) -> BatchStatistics {
    let statistics = BatchStatistics(channels: channels, offset: needs.statisticsCount)
    needs.statistics.append(statistics)
    return statistics
  }

  /// Says that a tile's rows, batch-interleaved, are multiplied by a matrix of `inner` rows and `columns` columns.
  mutating func product(inner: Int, columns: Int) {
    needs.products.append(ProductShape(inner: inner, columns: columns))
  }

  /// Makes a layer, and puts it behind those made before.
  mutating func place<L>(_ make: (inout Blueprint) throws -> L) rethrows -> Placed<L> {
    needs = LayerNeeds()
    let first = parameters.count
    let layer = try make(&self)
    defer { placed += 1 }
    return Placed(
      layer: layer, needs: needs, parameters: first..<parameters.count,
      offset: weights.reserve(needs.weights.count),
      panels: panels.reserve(needs.weights.panelCount),
      transposedPanels: transposedPanels.reserve(needs.weights.transposedPanelCount), index: placed)
  }
}

/// What a layer has booked.
struct LayerNeeds: Sendable {
  var weights = WeightReservation()
  var inverse = WeightReservation()
  var buffers: [BufferNeed] = []
  var products: [ProductShape] = []
  var statistics: [BatchStatistics] = []
  /// Where the parameters stand whose gradients are written without being cleared, in order.
  var filters: [Range<Int>] = []

  /// Values of all statistics.
  var statisticsCount: Int { statistics.reduce(0) { $0 + $1.count } }
}

/// A layer and its place in the model.
struct Placed<L> {
  let layer: L
  let needs: LayerNeeds
  /// Where its parameters stand in the list.
  let parameters: Range<Int>
  /// Where its folded weights start in the slab of all of them.
  let offset: Int
  /// Where the panels of its matrices, and of their transposes, start in the slabs of all of them.
  let panels: Int
  let transposedPanels: Int
  /// Its number among the layers of the model.
  let index: Int

  /// Where its folded weights stand among all of them.
  var weights: Range<Int> { offset..<offset + needs.weights.count }

  /// Where the parameters stand that are no filters.
  var smallParameters: [Range<Int>] {
    var rest: [Range<Int>] = []
    var start = parameters.lowerBound
    for filter in needs.filters {
      rest.append(start..<filter.lowerBound)
      start = filter.upperBound
    }
    return rest + [start..<parameters.upperBound]
  }

  /// Whether latents leave the flow here.
  var emitsLatents: Bool {
    needs.buffers.contains { if case .latents = $0.life { true } else { false } }
  }

  /// The same layer as a value of another type.
  func map<M>(_ change: (L) -> M) -> Placed<M> {
    Placed<M>(
      layer: change(layer), needs: needs, parameters: parameters, offset: offset, panels: panels,
      transposedPanels: transposedPanels, index: index)
  }
}

extension Placed: Sendable where L: Sendable {}
