import GlowKernels

/// OpenBLAS's product of 2048³ in single precision, its rows shared out among the threads, as many as it serves at once: the
/// yardstick of speed.
final class PeakProduct {
  private let team: ThreadTeam
  private let size = 2048
  private let a, b, c: Slab<Float>

  /// - Throws: `MemoryError`.
  init(_ team: ThreadTeam) throws {
    self.team = team
    // A team that works with packed products has none yet.
    try team.claimBuffers()
    (a, b, c) = (try Slab(count: size * size), try Slab(count: size * size), try Slab(count: size * size))
    Philox(seed: 3, purpose: .weights).fillUniform(a.values)
    Philox(seed: 4, purpose: .weights).fillUniform(b.values)
    _ = operationsPerSecond()
  }

  /// Floating-point operations a second, measured once.
  func operationsPerSecond() -> Double {
    let threads = team.openBLASCallers
    let seconds = secondsOf {
      team.run(threads) { thread, _ in
        let first = size * thread / threads
        let rows = size * (thread + 1) / threads - first
        multiply(
          Matrix(a.base + first * size, rows: rows, columns: size),
          Operand(Matrix(b.base, rows: size, columns: size)),
          into: Matrix(c.base + first * size, rows: rows, columns: size))
      }
    }
    return 2 * Double(size * size * size) / seconds
  }
}
