import Foundation
import GlowKernels
import Testing

@Suite("The life of thread teams", .serialized)
struct TeamLifeTests {
  @Test("a team that is no longer used takes its threads with it")
  func ending() throws {
    let names = try Set(FileManager.default.contentsOfDirectory(atPath: "/proc/self/task"))
    for _ in 0..<20 {
      let team = ThreadTeam(count: 9)
      let sum = Sum()
      team.run(100) { piece, _ in sum.add(piece) }
      #expect(sum.value == 4950)
    }
    // Other tests start threads too, but not 160.
    let more = try Set(FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")).subtracting(names)
    #expect(more.count < 80)
  }

  private final class Sum: @unchecked Sendable {
    private let lock = NSLock()
    private(set) var value = 0
    func add(_ more: Int) { lock.withLock { value += more } }
  }

  @Test("a run within a run ends the process")
  func misuse() async {
    await #expect(processExitsWith: .failure) {
      let team = ThreadTeam(count: 2)
      team.run(4) { _, _ in team.run(4) { _, _ in } }
    }
  }

  @Test("buffers of OpenBLAS are mapped once for each thread")
  func buffers() throws {
    let team = ThreadTeam(count: 3)
    try team.claimBuffers()
    let before = try addressSpace()
    try team.claimBuffers()
    #expect(try addressSpace() < before + (100 << 20))
  }

  private func addressSpace() throws -> Int {
    let words = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
    return (Int(words[0]) ?? 0) * 4096
  }
}
