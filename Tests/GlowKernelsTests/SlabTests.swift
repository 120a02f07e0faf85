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

  @Test("large slabs begin where huge pages do, and all of them can be written")
  func alignment() throws {
    let slabs = try [(1 << 19) - 1, 1 << 19, (1 << 19) + 1, 1_300_000].map { try Slab<Float>(count: $0) }
    for slab in slabs {
      for index in stride(from: 0, to: slab.count, by: 1024) { slab.base[index] = 1 }
      slab.base[slab.count - 1] = 1
      let alignment = slab.count < 1 << 19 ? 4096 : 2 << 20
      #expect(UInt(bitPattern: slab.base) % UInt(alignment) == 0, "\(slab.count)")
    }
  }
}
