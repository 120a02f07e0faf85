/// A picture cannot be drawn; `description` says why.
public struct DrawingError: Error, CustomStringConvertible, Equatable {
  public let description: String
  /// An error that says this.
  public init(_ description: String) { self.description = description }
}
