import Glibc

/// A contiguous block of zeroed values, aligned to a page, owned by this object.
///
/// Large slabs ask for huge pages: a step walks through all of its activations, and with 4 KiB pages the
/// address translation alone costs several per cent. Calls `mmap`, `madvise` and `munmap`.
package final class Slab<S: Scalar> {
  package let base: UnsafeMutablePointer<S>
  package let count: Int
  private let byteCount: Int

  /// Those of x86-64. Memory that does not begin at a multiple has none in its first part, and older kernels begin it
  /// anywhere.
  private static var hugePage: Int { 2 << 20 }

  /// - Throws: `MemoryError` if the system grants no more.
  package init(count: Int) throws {
    self.count = count
    let (bytes, isTooLarge) = max(1, count).multipliedReportingOverflow(by: MemoryLayout<S>.stride)
    byteCount = isTooLarge ? .max : bytes
    let isLarge = byteCount >= Self.hugePage
    let (sum, overflows) = byteCount.addingReportingOverflow(isLarge ? Self.hugePage : 0)
    let room = overflows ? .max : sum
    let memory = mmap(nil, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let memory, memory != MAP_FAILED else {
      throw MemoryError(
        description:
          "the system refuses \(megabytes(byteCount)) of memory: \(String(cString: strerror(errno)))")
    }
    var start = memory
    if isLarge {
      start = memory.alignedUp(toMultipleOf: Self.hugePage)
      let page = Int(sysconf(Int32(_SC_PAGESIZE)))
      let end = (start + byteCount).alignedUp(toMultipleOf: page)
      let last = (memory + room).alignedUp(toMultipleOf: page)
      if start > memory { munmap(memory, start - memory) }
      if last > end { munmap(end, last - end) }
    }
    madvise(start, byteCount, MADV_HUGEPAGE)
    base = start.bindMemory(to: S.self, capacity: max(1, count))
  }

  deinit { munmap(base, byteCount) }

  package var values: UnsafeMutableBufferPointer<S> { UnsafeMutableBufferPointer(start: base, count: count) }

  /// Sets every value to zero.
  package func clear(_ team: ThreadTeam) {
    let part = 1 << 16
    team.run((count + part - 1) / part) { index, _ in
      (base + index * part).clear(min(part, count - index * part))
    }
  }
}

/// Books room in a slab before it exists, so that the same plan yields both an estimate and the memory.
package struct Reservation: Sendable {
  /// The values booked so far.
  package private(set) var count = 0

  package init() {}

  /// The offset of `count` values, aligned to 64 values so that no two areas share a cache line.
  package mutating func reserve(_ count: Int) -> Int {
    let offset = self.count
    self.count += (count + 63) / 64 * 64
    return offset
  }
}
