import Foundation
import Glibc
import GlowKernels

/// OpenBLAS chooses its kernels by the processor's model, when it is loaded. A version older than the model takes those of
/// 2004, at a fifth of the speed.
enum OpenBLASKernels {
  private static let variable = "OPENBLAS_CORETYPE"
  /// Those without AVX that it takes for processors that it does not know.
  private static let old: Set = [
    "Generic", "Katmai", "Coppermine", "Prescott", "Core2", "Penryn", "Dunnington", "Nehalem",
  ]

  /// Has this process start again with kernels that fit the processor, if OpenBLAS has taken ones without AVX where there
  /// is AVX2, and nobody has asked for them.
  ///
  /// Calls `execv`; to be called before anything else is done. Where that is not possible, the process goes on as it is.
  static func choose() {
    guard getenv(variable) == nil, old.contains(openBLASCoreName()),
      let core = better(than: openBLASCoreName(), flags: processorFlags()),
      let own = Installation.executable,
      // A loader that was asked to run the command would not find it again.
      !URL(filePath: own).lastPathComponent.hasPrefix("ld-")
    else { return }
    setenv(variable, core, 1)
    execv(own, CommandLine.unsafeArgv)
    unsetenv(variable)
  }

  /// The best kernels for a processor of these features, if the present ones are old.
  static func better(than core: String, flags: Set<String>) -> String? {
    if !old.contains(core) { return nil }
    if flags.isSuperset(of: ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]) {
      return "SkylakeX"
    }
    return flags.isSuperset(of: ["avx2", "fma"]) ? "Haswell" : nil
  }

  private static func processorFlags() -> Set<String> {
    let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("flags") }
    return Set(line?.split { $0 == " " || $0 == "\t" }.map(String.init) ?? [])
  }
}
