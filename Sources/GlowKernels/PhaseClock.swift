/// What a thread works at during a pass.
package enum Phase: Int, CaseIterable, Sendable {
  /// Gathering neighborhoods for a convolution, and adding them up: im2col and col2im.
  case patches
  /// Matrix products of the conditioners, forward and for the gradients of their inputs.
  case products
  /// Matrix products for the gradients of the conditioners' weights.
  case weightGradients
  /// Actnorm and 1×1 convolution as one matrix product, and its gradients.
  case channelMap
  /// Bias, ReLU, the coupling proper and their gradients.
  case elementwise
}

/// Adds up how long one thread spends in each phase: one reading of the clock a phase and tile, and one comparison
/// when switched off.
package struct PhaseClock: @unchecked Sendable {
  /// Nanoseconds of each phase, then the last reading.
  private let nanoseconds: UnsafeMutablePointer<UInt64>?

  /// Values that a clock needs; a multiple of a cache line.
  package static let count = 16

  /// - Parameter nanoseconds: `count` values of this thread's own; nil switches the clock off.
  package init(_ nanoseconds: UnsafeMutablePointer<UInt64>?) { self.nanoseconds = nanoseconds }

  /// Begins a stretch of work.
  @inline(__always)
  package func start() {
    if let nanoseconds { nanoseconds[PhaseClock.count - 1] = monotonicNanoseconds() }
  }

  /// Books the time since `start` or the last `lap`.
  @inline(__always)
  package func lap(_ phase: Phase) {
    guard let nanoseconds else { return }
    let time = monotonicNanoseconds()
    nanoseconds[phase.rawValue] &+= time &- nanoseconds[PhaseClock.count - 1]
    nanoseconds[PhaseClock.count - 1] = time
  }

  /// Seconds in a phase so far.
  package subscript(phase: Phase) -> Double { nanoseconds.map { Double($0[phase.rawValue]) * 1e-9 } ?? 0 }
}
