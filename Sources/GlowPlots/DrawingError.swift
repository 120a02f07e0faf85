/// A picture cannot be drawn; `description` says why.
public struct DrawingError: Error, CustomStringConvertible, Equatable {
  public let description: String
  public init(_ description: String) { self.description = description }
}
