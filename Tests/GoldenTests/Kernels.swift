import Foundation

/// Kernels of OpenBLAS that there is a list for.
enum Kernels: String {
  // OpenBLAS calls them by the first processor that had them.
  case haswell = "Haswell"
  case skylakeX = "SkylakeX"

  /// Whether this processor can run them.
  ///
  /// It must have FMA for either: glibc takes other ways for exp and log without, whose last bits differ.
  var canRun: Bool {
    let needed: Set<Substring> =
      switch self {
      case .haswell: ["avx2", "fma"]
      case .skylakeX: ["avx2", "fma", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]
      }
    return Kernels.processorFlags.isSuperset(of: needed)
  }

  private static let processorFlags: Set<Substring> = {
    let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("flags") }
    return Set(line?.split(whereSeparator: { $0 == " " || $0 == "\t" }) ?? [])
  }()
}
