import Foundation
import GlowKernels
import Testing

@Suite("Kernels")
struct KernelNameTests {
  @Test("are those that are asked for")
  func names() throws {
    let environment = ProcessInfo.processInfo.environment
    if let wanted = environment["OPENBLAS_CORETYPE"] { #expect(openBLASCoreName() == wanted) }
    if let wanted = environment["GLOW_KERNELS"] { #expect(ProductKernels.standard.rawValue == wanted) }
    if let wanted = environment["GLOW_INSTRUCTIONS"] { #expect(InstructionSet.chosen?.rawValue == wanted) }
    #expect(ThreadTeam(count: 1).kernels == .standard)
  }
}
