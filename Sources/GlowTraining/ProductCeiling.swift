import GlowFlow
import GlowKernels

/// How fast the matrix products of a model's coupling networks run by themselves, on memory that is in the cache.
///
/// Small or narrow products are slower than one of 2048³, whatever surrounds them: this is the ceiling for a pass.
struct ProductCeiling {
  /// [m × k]·[k × n], as the pass calls it.
  private struct Product {
    let m, n, k: Int
    var transposesFirst = false
    var transposesSecond = false
    var accumulates = false
    var multiplyAdds: Double { Double(m) * Double(n) * Double(k) }
  }

  let configuration: GlowConfiguration
  let batch: Int
  let team: ThreadTeam

  /// Floating-point operations a second over all products of a pass, each weighed by its share of the work.
  func operationsPerSecond(isTraining: Bool) -> Double {
    var work = 0.0
    var seconds = 0.0
    for level in 0..<configuration.levels {
      let shape = configuration.shape(ofLevel: level)
      for product in products(level, isTraining: isTraining) {
        let operations = 2 * product.multiplyAdds * Double(shape.positions)
        work += operations
        seconds += operations / speed(of: product)
      }
    }
    return work / seconds
  }

  /// Those of `CouplingNetwork`, forward and then backward: [rows × k]·[k × n] and its two gradients.
  private func products(_ level: Int, isTraining: Bool) -> [Product] {
    let shapes = configuration.couplingProducts(ofLevel: level)
    let rows = Tiling(
      shape: configuration.shape(ofLevel: level), batch: batch,
      purpose: isTraining ? .training(keepsHidden: true) : .inference, products: shapes, Float.self
    ).tileRows
    return shapes.flatMap { shape in
      let (n, k) = (shape.columns, shape.inner)
      let forward = Product(m: rows, n: n, k: k)
      if !isTraining { return [forward] }
      return [
        forward, Product(m: rows, n: k, k: n, transposesSecond: true),
        Product(m: k, n: n, k: rows, transposesFirst: true, accumulates: true),
      ]
    }
  }

  /// Operations a second of one product on every thread at once, each with operands of its own; the best of five.
  private func speed(of product: Product) -> Double {
    let (a, b, c) = (product.m * product.k, product.k * product.n, product.m * product.n)
    let operands = (0..<team.count).map { thread in
      let slab = Slab<Float>(count: a + b + c)
      Philox(seed: 5, purpose: .weights, stream: UInt64(thread)).fillUniform(slab.values)
      return slab
    }
    // About 5 ms a thread.
    let repetitions = max(1, Int(250e6 / product.multiplyAdds))
    let best = (0..<5).map { _ in
      secondsOf {
        team.run(team.count) { piece, _ in
          let base = operands[piece].base
          let first = Matrix(
            base, rows: product.transposesFirst ? product.k : product.m,
            columns: product.transposesFirst ? product.m : product.k)
          let second = Matrix(
            base + a, rows: product.transposesSecond ? product.n : product.k,
            columns: product.transposesSecond ? product.k : product.n)
          for _ in 0..<repetitions {
            multiply(
              product.transposesFirst ? first.transposed : first,
              product.transposesSecond ? second.transposed : second,
              into: Matrix(base + a + b, rows: product.m, columns: product.n),
              accumulate: product.accumulates)
          }
        }
      }
    }.min()!
    return 2 * product.multiplyAdds * Double(repetitions * team.count) / best
  }
}
