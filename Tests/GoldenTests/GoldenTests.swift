import Foundation
import GlowTestSupport
import Testing

/// Whatever becomes of the code, its results keep every bit: small models of every kind come to what is in `Lists`.
///
/// That of packed products holds everywhere, on processors with FMA; one of OpenBLAS's for one version of it. `make golden`
/// writes the lists anew.
@Suite("Golden lists", .serialized, .unsanitized("too slow"))
struct GoldenTests {
  @Test(
    "with OpenBLAS's kernels for AVX2",
    .needs("Tests of AVX2", Kernels.haswell.canRun, lack: "the processor has no AVX2 with FMA"))
  func haswell() throws { try check(.haswell) }

  @Test(
    "with OpenBLAS's kernels for AVX-512",
    .needs("Tests of AVX-512", Kernels.skylakeX.canRun, lack: "the processor has no AVX-512"))
  func skylakeX() throws { try check(.skylakeX) }

  /// One list for all processors.
  @Test(
    "with packed products, for AVX2",
    .needs("Tests of AVX2", Kernels.packedAVX2.canRun, lack: "the processor has no AVX2 with FMA"))
  func packedAVX2() throws { try check(.packedAVX2) }

  @Test(
    "with packed products, for AVX-512",
    .needs("Tests of AVX-512", Kernels.packedAVX512.canRun, lack: "the processor has no AVX-512"))
  func packedAVX512() throws { try check(.packedAVX512) }

  private func check(_ kernels: Kernels) throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent().appending(
      path: "Lists/\(kernels.list).txt")
    let found = try list(kernels)
    print("golden list of \(found.libraries)")
    try #require(
      found.libraries.contains(kernels.products == "packed" ? "packed" : kernels.rawValue),
      "these kernels have not been taken")
    if ProcessInfo.processInfo.environment["GLOW_REFRESH_GOLDEN"] != nil {
      try Data(found.text.utf8).write(to: file)
      return
    }
    let expected = HashList(try String(contentsOf: file, encoding: .utf8))
    let isOfOthers = found.libraries != expected.libraries
    Tally.count(
      "Golden lists",
      lack: isOfOthers ? "the list is of \(expected.libraries), not \(found.libraries)" : nil)
    if isOfOthers { return }
    let differences = found.differences(from: expected)
    #expect(
      differences.isEmpty,
      """
      \(differences.count) results have changed: \(differences.joined(separator: ", ")). If they are meant to, \
      `make golden` writes the lists anew.
      """)
  }

  /// What the program beside the test runner prints. OpenBLAS chooses its kernels when it is loaded, so it must be
  /// another process.
  private func list(_ kernels: Kernels) throws -> HashList {
    let folder = FileManager.default.temporaryDirectory.appending(path: "glow-golden-\(UUID())")
    defer { try? FileManager.default.removeItem(at: folder) }
    let process = Process()
    process.executableURL = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(
      path: "GoldenList")
    process.arguments = [folder.path, kernels.products]
    process.environment = ProcessInfo.processInfo.environment.merging(
      kernels.environment
    ) { $1 }
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "GoldenList failed; what it says stands above")
    return HashList(text)
  }
}
