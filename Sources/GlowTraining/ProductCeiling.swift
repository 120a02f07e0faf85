import GlowFlow
import GlowKernels

/// How fast the matrix products of a model's conditioners run by themselves, on memory that is in the cache.
///
/// Small or narrow products are slower than one of 2048³, whatever surrounds them: this is the ceiling for a pass.
struct ProductCeiling {
  /// [m × k]·[k × n], as the pass calls it.
  private struct Product {
    let m, n, k: Int
    var transposesSecond = false
    /// Of weights: [k × m]ᵀ·[k × n], added to what is there.
    var isGradient = false
    var multiplyAdds: Double { Double(m) * Double(n) * Double(k) }
  }

  /// Of each level, what the rows of its tiles are multiplied by, and how often.
  private let levels: [(shape: LevelShape, products: [ProductShape: Int])]
  /// Of one image forward.
  let multiplyAdds: Double
  private let batch: Int
  private let team: ThreadTeam

  init(_ configuration: GlowConfiguration, batch: Int, team: ThreadTeam) throws {
    levels = try configuration.products().map { level in
      (level.shape, level.products.reduce(into: [:]) { $0[$1, default: 0] += 1 })
    }
    multiplyAdds = try configuration.multiplyAdds()
    self.batch = batch
    self.team = team
  }

  /// Floating-point operations a second over all products of a pass, each weighed by its share of the work, as a fraction
  /// of the peak in the same minutes.
  ///
  /// - Throws: `MemoryError`.
  func fraction(of peak: PeakProduct, isTraining: Bool) throws -> Double {
    var (work, scaledWork) = (0.0, 0.0)
    for (shape, products) in levels {
      let purpose = isTraining ? Purpose.training(keepsHidden: true) : .inference
      let rows = Tiling.fitting(
        shape, batch: batch, TileGrain(purpose, team.kernels), products: Array(products.keys), Float.self
      ).tileRows
      for (product, count) in products {
        for product in passes(product, rows: rows, isTraining: isTraining) {
          let operations = 2 * product.multiplyAdds * Double(shape.positions * count)
          work += operations
          scaledWork += try operations / fraction(of: peak, product)
        }
      }
    }
    return work / scaledWork
  }

  /// Forward [rows × k]·[k × n], and in training its two gradients.
  private func passes(_ shape: ProductShape, rows: Int, isTraining: Bool) -> [Product] {
    let (n, k) = (shape.columns, shape.inner)
    let forward = Product(m: rows, n: n, k: k)
    if !isTraining { return [forward] }
    return [
      forward, Product(m: rows, n: k, k: n, transposesSecond: true),
      Product(m: k, n: n, k: rows, isGradient: true),
    ]
  }

  /// Operations a second of one product on every thread at once, each with operands of its own, over the peak: the median
  /// of three, in turns.
  ///
  /// - Throws: `MemoryError`.
  private func fraction(of peak: PeakProduct, _ product: Product) throws -> Double {
    let (a, b, c) = (product.m * product.k, product.k * product.n, product.m * product.n)
    let isPacked = team.kernels == .packed
    let panels = isPacked ? Operand<Float>.panelCount(rows: product.k, columns: product.n) : 0
    let scratch = isPacked ? gradientScratchCount(columns: product.n) : 0
    let operands = try (0..<team.count).map { thread in
      let slab = try Slab<Float>(count: a + b + c + panels + scratch)
      Philox(seed: 5, purpose: .weights, stream: UInt64(thread)).fillUniform(slab.values)
      return slab
    }
    // About 5 ms a thread.
    let repetitions = max(1, Int(250e6 / product.multiplyAdds))
    return median(
      (0..<3).map { _ in
        let seconds = secondsOf {
          team.run(team.count) { piece, _ in
            let base = operands[piece].base
            let target = Matrix(base + a + b, rows: product.m, columns: product.n)
            if product.isGradient {
              let first = Matrix(base, rows: product.k, columns: product.m)
              let second = Matrix(base + a, rows: product.k, columns: product.n)
              let scratch = isPacked ? base + a + b + c : nil
              for _ in 0..<repetitions {
                multiplyTransposed(first, second, into: target, accumulate: true, scratch: scratch)
              }
              return
            }
            let first = Matrix(base, rows: product.m, columns: product.k)
            let second =
              product.transposesSecond
              ? Matrix(base + a, rows: product.n, columns: product.k).transposed
              : Matrix(base + a, rows: product.k, columns: product.n)
            let operand = Operand(second, panels: isPacked ? UnsafePointer(base + a + b + c) : nil)
            for _ in 0..<repetitions { multiply(first, operand, into: target) }
          }
        }
        return 2 * product.multiplyAdds * Double(repetitions * team.count) / seconds
          / peak.operationsPerSecond()
      })
  }
}

extension GlowConfiguration {
  /// Multiply-adds of the conditioners' products for one image forward.
  ///
  /// - Throws: `ConfigurationError`.
  func multiplyAdds() throws -> Double {
    try products().reduce(0) { sum, level in
      level.products.reduce(sum) { $0 + Double($1.inner * $1.columns * level.shape.positions) }
    }
  }
}
