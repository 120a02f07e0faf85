import Foundation
import Glibc

/// Reads images of a data set on threads of its own, ahead of who takes them.
///
/// Images are taken in the order asked for, whichever thread has read them; at most `capacity` are kept. The
/// threads have a low priority: they use what the takers leave of the processors, which is all of them while a
/// taker waits. Calls `nice` and `clock_gettime`.
package final class ReadAhead {
  /// One image, or why it could not be read.
  package struct Item {
    /// Index in the data set.
    package let index: Int
    /// `[height, width, channels]`; of no use if there is an error.
    package let pixels: UnsafeBufferPointer<UInt8>
    /// What a person should know about it.
    package let traits: ImageTraits
    package let error: (any Error)?
  }

  /// What reading has cost so far, in seconds.
  package struct Cost: Sendable {
    /// That who takes images has waited for them.
    package var waited = 0.0
    /// That the reading threads have had a processor.
    package var processor = 0.0

    package init() {}

    package static func += (sum: inout Cost, other: Cost) {
      sum.waited += other.waited
      sum.processor += other.processor
    }
  }

  private let queue: Queue

  /// Starts to read.
  ///
  /// - Parameters:
  ///   - indices: which images, in which order.
  ///   - capacity: images that are kept; no more may be taken at once.
  ///   - threads: those that read. Where there are none, or the system starts none, who takes images reads them.
  package init(
    _ dataset: any Dataset, _ indices: some Sequence<Int>, capacity: Int, threads: Int = 1
  ) {
    precondition(capacity >= 1 && threads >= 0)
    queue = Queue(dataset, AnyIterator(indices.makeIterator()), capacity: capacity)
    for _ in 0..<min(threads, capacity) { queue.startReader() }
  }

  deinit { queue.end() }

  package var cost: Cost { queue.costSoFar }

  /// Waits for the next `count` images, fewer only at the end, and hands them to `body`, which must not keep them.
  package func withNext<Result>(_ count: Int, _ body: ([Item]) throws -> Result) rethrows -> Result {
    precondition((1...queue.capacity).contains(count))
    let items = queue.wait(for: count)
    defer { queue.release(items.count) }
    return try body(items)
  }
}

/// A ring of images: place p of the order is in slot p mod capacity.
private final class Queue: @unchecked Sendable {
  let capacity: Int
  private let dataset: any Dataset
  private let size: Int
  private let pixels: UnsafeMutableBufferPointer<UInt8>
  private let condition = NSCondition()
  /// Known to who takes images alone.
  private var hasReader = false

  // What follows is touched by who holds the condition's lock.
  private let indices: AnyIterator<Int>
  private var items: [ReadAhead.Item?]
  /// Places that a reader has begun, and places whose images have been given back.
  private var begun = 0
  private var released = 0
  private var cost = ReadAhead.Cost()
  /// True once there is nothing more to begin.
  private var isAtEnd = false

  init(_ dataset: any Dataset, _ indices: AnyIterator<Int>, capacity: Int) {
    self.dataset = dataset
    self.indices = indices
    self.capacity = capacity
    size = dataset.shape.count
    pixels = .allocate(capacity: capacity * size)
    pixels.initialize(repeating: 0)
    items = Array(repeating: nil, count: capacity)
  }

  deinit { pixels.deallocate() }

  var costSoFar: ReadAhead.Cost {
    condition.lock()
    defer { condition.unlock() }
    return cost
  }

  /// Starts a thread that reads, if the system has room for one.
  func startReader() {
    var thread = pthread_t()
    let queue = Unmanaged.passRetained(self)
    let status = pthread_create(
      &thread, nil,
      { argument in
        let queue = Unmanaged<Queue>.fromOpaque(argument!).takeRetainedValue()
        _ = nice(10)  // on Linux of the calling thread alone
        while queue.readNext() {}
        return nil
      }, queue.toOpaque())
    if status != 0 {
      queue.release()
      return
    }
    pthread_detach(thread)
    hasReader = true
  }

  /// Returns whether there was an image to read.
  private func readNext() -> Bool {
    guard let (place, index) = begin() else { return false }
    let slot = UnsafeMutableBufferPointer(
      rebasing: pixels[place % capacity * size..<(place % capacity + 1) * size])
    var failure: (any Error)?
    let start = seconds(CLOCK_THREAD_CPUTIME_ID)
    var traits: ImageTraits = []
    do { traits = try dataset.read(index, into: slot) } catch { failure = error }
    finish(
      place,
      ReadAhead.Item(index: index, pixels: UnsafeBufferPointer(slot), traits: traits, error: failure),
      processor: seconds(CLOCK_THREAD_CPUTIME_ID) - start)
    return true
  }

  /// Images that have been begun and not been given back.
  private var held: Int {
    condition.lock()
    defer { condition.unlock() }
    return begun - released
  }

  private func begin() -> (place: Int, index: Int)? {
    condition.lock()
    defer { condition.unlock() }
    while !isAtEnd && begun - released == capacity { condition.wait() }
    guard !isAtEnd, let index = indices.next() else {
      isAtEnd = true
      condition.broadcast()
      return nil
    }
    begun += 1
    return (begun - 1, index)
  }

  private func finish(_ place: Int, _ item: ReadAhead.Item, processor: Double) {
    condition.lock()
    defer { condition.unlock() }
    items[place % capacity] = item
    cost.processor += processor
    condition.broadcast()
  }

  func wait(for count: Int) -> [ReadAhead.Item] {
    let start = seconds(CLOCK_MONOTONIC)
    if !hasReader {
      while held < count && readNext() {}
    }
    condition.lock()
    defer {
      cost.waited += seconds(CLOCK_MONOTONIC) - start
      condition.unlock()
    }
    while true {
      // At the end what has begun is all there will be.
      let available = isAtEnd ? min(count, begun - released) : count
      let places = released..<released + available
      if places.allSatisfy({ items[$0 % capacity] != nil }) { return places.map { items[$0 % capacity]! } }
      condition.wait()
    }
  }

  func release(_ count: Int) {
    condition.lock()
    defer { condition.unlock() }
    for place in released..<released + count { items[place % capacity] = nil }
    released += count
    condition.broadcast()
  }

  func end() {
    condition.lock()
    defer { condition.unlock() }
    isAtEnd = true
    condition.broadcast()
  }
}

private func seconds(_ clock: clockid_t) -> Double {
  var time = timespec()
  clock_gettime(clock, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
