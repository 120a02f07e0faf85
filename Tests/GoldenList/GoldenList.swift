import COpenBLAS
import Foundation
import Glibc
import GlowImages
import GlowKernels

/// `GoldenList FOLDER KERNELS [RUN…]`: trains a small model of every kind, or those that are named, writes each result to a file FOLDER/RUN/RESULT and prints
/// the list of their SHA-256, under a line that names the libraries on which the bits depend.
@main
enum GoldenList {
  static func main() throws {
    let arguments = CommandLine.arguments
    let runs = GoldenRun.all.filter { arguments.count <= 3 || arguments[3...].contains($0.name) }
    guard arguments.count >= 3, let kernels = ProductKernels(rawValue: arguments[2]),
      arguments.count == 3 || runs.count == arguments.count - 3
    else {
      FileHandle.standardError.write(Data("usage: GoldenList FOLDER packed|openblas [RUN…]\n".utf8))
      exit(64)
    }
    let folder = URL(filePath: arguments[1])
    FileHandle.standardOutput.write(Data("# \(libraries(kernels))\n".utf8))
    var names: [String] = []
    for run in runs {
      let results = try results(of: run, kernels)
      let own = folder.appending(path: run.name)
      try FileManager.default.createDirectory(at: own, withIntermediateDirectories: true)
      for (name, bytes) in results.files.sorted(by: { $0.key < $1.key }) {
        try bytes.write(to: own.appending(path: name))
        names.append("\(run.name)/\(name)")
      }
    }
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["sha256sum"] + names
    process.currentDirectoryURL = folder
    try process.run()
    process.waitUntilExit()
    exit(process.terminationStatus)
  }

  /// What the bits depend on: nothing but the package with packed products; with OpenBLAS its version and the processor
  /// whose kernels it has chosen.
  private static func libraries(_ kernels: ProductKernels) -> String {
    switch kernels {
    case .packed: "packed products"
    case .openBLAS: String(cString: openblas_get_config())
    }
  }

  /// With one thread and with two, which must come to the same.
  private static func results(of run: GoldenRun, _ kernels: ProductKernels) throws -> GoldenResults {
    let scratch = FileManager.default.temporaryDirectory.appending(path: "glow-golden-\(UUID())").path
    defer { try? FileManager.default.removeItem(atPath: scratch) }
    let one = try GoldenResults(run, ThreadTeam(count: 1, kernels: kernels), folder: "\(scratch)/1")
    let two = try GoldenResults(run, ThreadTeam(count: 2, kernels: kernels), folder: "\(scratch)/2")
    if let name = one.files.keys.sorted().first(where: { one.files[$0] != two.files[$0] }) {
      throw GoldenError("\(run.name)/\(name): depends on the number of threads")
    }
    return two
  }
}
