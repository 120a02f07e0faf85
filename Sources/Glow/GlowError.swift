/// What cannot be done, and why, in one line. Functions of this library also throw errors of its parts; the description of
/// each is such a line.
public struct GlowError: Error, CustomStringConvertible {
  public let description: String

  init(_ description: String) { self.description = description }
}
