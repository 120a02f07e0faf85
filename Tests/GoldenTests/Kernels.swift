import Foundation

/// Kernels whose results are compared with a list.
enum Kernels: String {
  // OpenBLAS calls them by the first processor that had them.
  case haswell = "Haswell"
  case skylakeX = "SkylakeX"
  case packedAVX2 = "avx2"
  case packedAVX512 = "avx512"

  /// The name of the list.
  var list: String {
    switch self {
    case .haswell, .skylakeX: rawValue
    case .packedAVX2, .packedAVX512: products
    }
  }

  /// What makes the products.
  var products: String {
    switch self {
    case .haswell, .skylakeX: "openblas"
    case .packedAVX2, .packedAVX512: "packed"
    }
  }

  /// With which these kernels are taken.
  var environment: [String: String] {
    switch self {
    case .haswell, .skylakeX: ["OPENBLAS_CORETYPE": rawValue]
    // OpenBLAS's kernels should not matter.
    case .packedAVX2: ["GLOW_INSTRUCTIONS": rawValue, "OPENBLAS_CORETYPE": "Haswell"]
    case .packedAVX512: ["GLOW_INSTRUCTIONS": rawValue, "OPENBLAS_CORETYPE": "SkylakeX"]
    }
  }

  /// Whether this processor can run them.
  var canRun: Bool {
    let needed: Set<Substring> =
      switch self {
      case .haswell, .packedAVX2: ["avx2", "fma"]
      case .skylakeX, .packedAVX512:
        ["avx2", "fma", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]
      }
    return Kernels.processorFlags.isSuperset(of: needed)
  }

  private static let processorFlags: Set<Substring> = {
    let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("flags") }
    return Set(line?.split(whereSeparator: { $0 == " " || $0 == "\t" }) ?? [])
  }()
}
