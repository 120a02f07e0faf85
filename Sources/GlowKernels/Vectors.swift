/// Eight neighboring values at a time, at any alignment.
extension UnsafePointer where Pointee: Scalar {
  @inlinable @inline(__always)
  public func vector(_ index: Int) -> SIMD8<Pointee> {
    UnsafeRawPointer(self + index).loadUnaligned(as: SIMD8<Pointee>.self)
  }
}

extension UnsafeMutablePointer where Pointee: Scalar {
  @inlinable @inline(__always)
  public func vector(_ index: Int) -> SIMD8<Pointee> {
    UnsafeRawPointer(self + index).loadUnaligned(as: SIMD8<Pointee>.self)
  }

  @inlinable @inline(__always)
  public func store(_ vector: SIMD8<Pointee>, _ index: Int) {
    UnsafeMutableRawPointer(self + index).storeBytes(of: vector, as: SIMD8<Pointee>.self)
  }
}
