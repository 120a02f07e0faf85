import Glibc

/// A thread's own memory for small intermediate values, which it keeps: a training step asks the system for none.
///
/// `withUnsafeTemporaryAllocation` of the standard library would take what is larger than a kilobyte from the heap each
/// time.
package struct Scratch {
  private let stack: ScratchStack

  fileprivate init(_ stack: ScratchStack) { self.stack = stack }

  /// Room for `count` values, which hold anything, until the end of `withScratch`.
  package func take<Value: BitwiseCopyable>(
    _ count: Int, of type: Value.Type = Value.self
  ) -> UnsafeMutablePointer<Value> {
    stack.take(max(1, count) * MemoryLayout<Value>.stride).bindMemory(to: Value.self, capacity: max(1, count))
  }

  /// Room for a row-major matrix.
  package func matrix(_ rows: Int, _ columns: Int) -> Matrix<Double> {
    Matrix(take(rows * columns), rows: rows, columns: columns)
  }
}

/// Lends memory of the calling thread; what has been taken of it is given back at the end.
package func withScratch<Result>(_ body: (Scratch) throws -> Result) rethrows -> Result {
  let stack = ScratchStack.ofThread
  let mark = stack.mark
  defer { stack.mark = mark }
  return try body(Scratch(stack))
}

/// Blocks of memory, of which those before the mark are lent. Lent memory never moves: what does not fit goes into a
/// further block.
private final class ScratchStack {
  struct Mark {
    var block = 0
    var offset = 0
  }

  var mark = Mark()
  private var blocks: [UnsafeMutableRawBufferPointer] = []
  /// Values of two lendings never share a cache line.
  private static let alignment = 64
  private static let leastBlock = 1 << 18

  deinit { for block in blocks { block.deallocate() } }

  func take(_ count: Int) -> UnsafeMutableRawPointer {
    let bytes = (count + Self.alignment - 1) / Self.alignment * Self.alignment
    while mark.block < blocks.count && mark.offset + bytes > blocks[mark.block].count {
      mark = Mark(block: mark.block + 1)
    }
    if mark.block == blocks.count {
      blocks.append(.allocate(byteCount: max(bytes, Self.leastBlock), alignment: Self.alignment))
    }
    defer { mark.offset += bytes }
    return blocks[mark.block].baseAddress! + mark.offset
  }

  /// Ends with its thread.
  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    let status = pthread_key_create(&key) { Unmanaged<ScratchStack>.fromOpaque($0!).release() }
    precondition(status == 0, "the process has no more keys for memory of threads")
    return key
  }()

  static var ofThread: ScratchStack {
    if let stack = pthread_getspecific(key) {
      return Unmanaged<ScratchStack>.fromOpaque(stack).takeUnretainedValue()
    }
    let stack = ScratchStack()
    pthread_setspecific(key, Unmanaged.passRetained(stack).toOpaque())
    return stack
  }
}
