import Foundation
import GlowFiles
import Synchronization
import Testing

@testable import GlowImages

/// Images of one pixel that holds their index; some cannot be read, and some take longer.
private final class NumberedImages: Dataset {
  let shape = ImageShape(height: 1, width: 1, channels: 1)
  let count: Int
  let damaged: Set<Int>
  let reads = Atomic<Int>(0)

  init(count: Int, damaged: Set<Int> = []) {
    self.count = count
    self.damaged = damaged
  }

  func source(_ index: Int) -> String { "number#\(index)" }

  func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) throws -> ImageTraits {
    reads.wrappingAdd(1, ordering: .relaxed)
    if index % 3 == 0 { Thread.sleep(forTimeInterval: 0.0005) }
    if damaged.contains(index) { throw FileError(source(index), "is damaged") }
    pixels[0] = UInt8(index % 251)
    return []
  }
}

@Suite("Reading ahead")
struct ReadAheadTests {
  /// Takes all images, `step` at a time.
  private func takeAll(
    _ dataset: any Dataset, _ order: [Int], step: Int, capacity: Int, threads: Int
  ) -> (indices: [Int], values: [UInt8?], errors: [FileError]) {
    let reader = ReadAhead(dataset, order, capacity: capacity, threads: threads)
    var result: (indices: [Int], values: [UInt8?], errors: [FileError]) = ([], [], [])
    var count = step
    while count == step {
      reader.withNext(step) { items in
        count = items.count
        result.indices += items.map(\.index)
        result.values += items.map { $0.error == nil ? $0.pixels[0] : nil }
        result.errors += items.compactMap { $0.error as? FileError }
      }
    }
    return result
  }

  @Test(
    "images come in the order asked for, each once, whatever the threads, the room and the portions",
    arguments: [0, 1, 3, 8], [(1, 1), (4, 4), (7, 20), (64, 128)])
  func order(threads: Int, sizes: (step: Int, capacity: Int)) {
    let order = (0..<100).map { $0 * 37 % 100 } + [5, 5, 5]
    let taken = takeAll(
      NumberedImages(count: 100), order, step: sizes.step, capacity: sizes.capacity, threads: threads)
    #expect(taken.indices == order)
    #expect(taken.values == order.map { UInt8($0) })
    #expect(takeAll(NumberedImages(count: 1), [], step: 4, capacity: 4, threads: threads).indices.isEmpty)
  }

  @Test("an image that cannot be read has its error in its place")
  func errors() {
    let dataset = NumberedImages(count: 20, damaged: [4, 11])
    let taken = takeAll(dataset, Array(0..<20), step: 6, capacity: 12, threads: 3)
    #expect(taken.indices == Array(0..<20))
    #expect(taken.values.indices.filter { taken.values[$0] == nil } == [4, 11])
    #expect(taken.errors == [FileError("number#4", "is damaged"), FileError("number#11", "is damaged")])
  }

  @Test("no more is read than there is room for, and one that is given up stops reading")
  func room() {
    let dataset = NumberedImages(count: 100_000)
    do {
      let reader = ReadAhead(dataset, 0..<100_000, capacity: 10, threads: 4)
      reader.withNext(5) { #expect($0.map(\.index) == Array(0..<5)) }
      let deadline = Date(timeIntervalSinceNow: 20)
      while dataset.reads.load(ordering: .relaxed) < 15 && Date() < deadline {
        Thread.sleep(forTimeInterval: 0.001)
      }
      Thread.sleep(forTimeInterval: 0.05)
      #expect(dataset.reads.load(ordering: .relaxed) == 15)
    }
    Thread.sleep(forTimeInterval: 0.05)
    #expect(dataset.reads.load(ordering: .relaxed) == 15)
  }
}
