import Foundation
import Glibc
import GlowKernels

/// OpenBLAS chooses its kernels by the processor's model, when it is loaded. A version older than the model takes those of
/// 2004, at a fifth of the speed.
enum OpenBLASKernels {
  /// Has this process start again with kernels that fit the processor, if OpenBLAS has taken ones without AVX where there
  /// is AVX2, and nobody has asked for them.
  ///
  /// Calls `execv`; to be called before anything else is done.
  static func choose() {
    let variable = "OPENBLAS_CORETYPE"
    if getenv(variable) != nil || !["Prescott", "Core2", "Katmai", "Generic"].contains(openBLASCoreName()) {
      return
    }
    guard let core = best else { return }
    setenv(variable, core, 1)
    execv("/proc/self/exe", CommandLine.unsafeArgv)
    // Where that is not possible, it goes on as it is.
  }

  /// The best kernels that the processor can run.
  private static var best: String? {
    let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("flags") }
    let flags = Set(line?.split { $0 == " " || $0 == "\t" } ?? [])
    if flags.isSuperset(of: ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]) {
      return "SkylakeX"
    }
    return flags.isSuperset(of: ["avx2", "fma"]) ? "Haswell" : nil
  }
}
