import Glibc

/// Eight neighboring values at a time, at any alignment.
extension UnsafePointer where Pointee: Scalar {
  @inlinable @inline(__always)
  package func vector(_ index: Int) -> SIMD8<Pointee> {
    UnsafeRawPointer(self + index).loadUnaligned(as: SIMD8<Pointee>.self)
  }
}

extension UnsafeMutablePointer where Pointee: Scalar {
  @inlinable @inline(__always)
  package func vector(_ index: Int) -> SIMD8<Pointee> {
    UnsafeRawPointer(self + index).loadUnaligned(as: SIMD8<Pointee>.self)
  }

  /// `count` zeros.
  @inlinable @inline(__always)
  package func clear(_ count: Int) { memset(self, 0, count * MemoryLayout<Pointee>.stride) }

  @inlinable @inline(__always)
  package func store(_ vector: SIMD8<Pointee>, _ index: Int) {
    UnsafeMutableRawPointer(self + index).storeBytes(of: vector, as: SIMD8<Pointee>.self)
  }
}

// Functions in C are for Float; the same in Swift is for Double, and for tests.

/// The pointer itself if it is to values of type Float.
@inlinable @inline(__always) @_disfavoredOverload
package func floats<S: Scalar>(_ values: UnsafePointer<S>) -> UnsafePointer<Float>? {
  S.self == Float.self ? UnsafeRawPointer(values).assumingMemoryBound(to: Float.self) : nil
}

@inlinable @inline(__always)
package func floats<S: Scalar>(_ values: UnsafeMutablePointer<S>) -> UnsafeMutablePointer<Float>? {
  S.self == Float.self ? UnsafeMutableRawPointer(values).assumingMemoryBound(to: Float.self) : nil
}
