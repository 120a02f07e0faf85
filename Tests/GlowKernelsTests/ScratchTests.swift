import Testing

@testable import GlowKernels

@Suite("Threads' own memory")
struct ScratchTests {
  @Test("what is lent stays where it is and is nobody else's, whatever comes within")
  func lending() {
    withScratch { outer in
      let first = outer.take(1000, of: Float.self)
      for index in 0..<1000 { first[index] = Float(index) }
      var within: UnsafeMutablePointer<Double>?
      for size in [1, 10, 100_000, 3_000_000] {
        withScratch { inner in
          let values = inner.take(size, of: Double.self)
          let more = inner.take(1, of: UInt8.self)
          #expect(UInt(bitPattern: values) % 64 == 0 && UInt(bitPattern: more) % 64 == 0)
          values.update(repeating: -1, count: size)
          more.pointee = 255
          if size == 1 { within = values }
        }
      }
      // What has been given back is lent again.
      withScratch { #expect($0.take(1, of: Double.self) == within) }
      let last = outer.take(1000, of: Float.self)
      last.update(repeating: 7, count: 1000)
      #expect((0..<1000).allSatisfy { first[$0] == Float($0) })
    }
  }

  @Test("is given back where an error is thrown")
  func errors() {
    func taken() -> UnsafeMutablePointer<Int> { withScratch { $0.take(3) } }
    let before = taken()
    #expect(throws: LinearAlgebraError.self) {
      try withScratch { scratch in
        _ = scratch.matrix(10, 10)
        throw LinearAlgebraError.notFinite(size: 1)
      }
    }
    #expect(taken() == before)
  }

  @Test("each thread has its own")
  func threads() throws {
    let slab = try Slab<Double>(count: 4)
    ThreadTeam(count: 4).run(400) { piece, thread in
      withScratch { scratch in
        let values = scratch.take(100, of: Int.self)
        values.update(repeating: piece, count: 100)
        for index in 0..<100 where values[index] != piece { slab.base[thread] = .nan }
      }
    }
    #expect(slab.values.allSatisfy { $0 == 0 })
  }
}
