import CGlowKernels
import COpenBLAS
import Foundation

/// What makes the matrix products of a model.
package enum ProductKernels: String, Sendable, CaseIterable, CustomStringConvertible {
  /// Those of this package, whose weights are packed once an update. Every value is the chain of fused multiply-adds over
  /// the inner dimension, in order: it depends on nothing else, such as the rows beside it or the processor.
  case packed
  /// OpenBLAS's, on every processor and in both precisions. Their bits differ from one processor to another.
  case openBLAS = "openblas"

  /// The packed ones where the processor has what they need: x86-64 with fused multiply-adds on vectors of eight.
  package static let best: ProductKernels = InstructionSet.available.isEmpty ? .openBLAS : .packed

  /// What the environment variable GLOW_KERNELS asks for, or the best.
  package static let standard: ProductKernels = {
    let wanted = ProcessInfo.processInfo.environment["GLOW_KERNELS"].flatMap(ProductKernels.init(rawValue:))
    return wanted == .openBLAS ? .openBLAS : best
  }()

  /// Threads that a team may have. OpenBLAS hands each concurrent caller one of a fixed number of buffers: Debian builds it
  /// for 64 threads, which makes 128 of them, of which some are left for callers outside of teams. Packed products set no
  /// bound; theirs is what a processor mask of the C library names.
  package var mostThreads: Int {
    switch self {
    case .packed: 1024
    case .openBLAS: 112
    }
  }

  /// To be raised with whatever changes the bits of results of packed products, such as the size of tiles in training.
  private static let packedVersion = 3

  /// On what the bits of results depend; a checkpoint names it.
  package var identity: String {
    switch self {
    case .packed: "\(rawValue) \(ProductKernels.packedVersion)"
    case .openBLAS: ProductKernels.openBLAS(core: openBLASCoreName())
    }
  }

  /// The identity of OpenBLAS with the kernels for a processor.
  package static func openBLAS(core: String) -> String { "\(openBLAS.rawValue) \(core)" }

  /// The identity, and for packed products what they use of the processor.
  package var description: String {
    switch self {
    case .packed: "\(identity), \(InstructionSet.chosen?.rawValue ?? "none")"
    case .openBLAS: identity
    }
  }
}

/// What packed products use of the processor. Nothing but speed depends on it.
package enum InstructionSet: String, Sendable, CaseIterable {
  case avx2
  case avx512

  /// Those of this processor, the best last.
  package static let available: [InstructionSet] = allCases.filter {
    $0.code.rawValue <= glow_best_instructions().rawValue
  }

  /// The best, or what the environment variable GLOW_INSTRUCTIONS asks for; nil if the processor has none.
  package static let chosen: InstructionSet? = {
    let wanted = ProcessInfo.processInfo.environment["GLOW_INSTRUCTIONS"].flatMap(InstructionSet.init)
    return available.first { $0 == wanted } ?? available.last
  }()

  /// What the functions of CGlowKernels are told.
  package static let code = chosen?.code ?? glow_instructions_none

  package var code: glow_instructions {
    switch self {
    case .avx2: glow_instructions_avx2
    case .avx512: glow_instructions_avx512
    }
  }
}

/// The processor whose kernels OpenBLAS has chosen to run. Calls `openblas_get_corename`.
package func openBLASCoreName() -> String { String(cString: openblas_get_corename()) }
