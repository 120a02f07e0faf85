import GlowKernels
import Testing

@Suite("Slabs")
struct SlabTests {
  @Test("memory that the system does not grant is an error")
  func refused() throws {
    for count in [1 << 58, Int.max] {
      let error = try #require(throws: MemoryError.self) { try Slab<Float>(count: count) }
      #expect(error.description.contains("the system refuses"), "\(error)")
    }
    let slab = try Slab<Float>(count: 3)
    // The memory goes with the slab.
    #expect(withExtendedLifetime(slab) { slab.values.allSatisfy { $0 == 0 } })
  }
}
