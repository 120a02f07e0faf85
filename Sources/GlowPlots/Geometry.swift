/// A place on a canvas, or a pair of values in a chart.
public struct Point: Sendable, Hashable {
  public var x: Double
  public var y: Double

  public init(_ x: Double, _ y: Double) {
    self.x = x
    self.y = y
  }
}

/// An upright rectangle; `y` grows downwards.
public struct Rectangle: Sendable, Hashable {
  public var x: Double
  public var y: Double
  public var width: Double
  public var height: Double

  public init(x: Double, y: Double, width: Double, height: Double) {
    self.x = x
    self.y = y
    self.width = width
    self.height = height
  }

  public var right: Double { x + width }
  public var bottom: Double { y + height }
}

/// Red, green and blue in 0...1.
public struct Color: Sendable, Hashable {
  public var red: Double
  public var green: Double
  public var blue: Double

  public init(red: Double, green: Double, blue: Double) {
    self.red = red
    self.green = green
    self.blue = blue
  }

  /// - Parameter code: 0xRRGGBB.
  public init(_ code: UInt32) {
    self.init(
      red: Double(code >> 16 & 0xFF) / 255, green: Double(code >> 8 & 0xFF) / 255,
      blue: Double(code & 0xFF) / 255)
  }

  public static let black = Color(0x000000)
  public static let white = Color(0xFFFFFF)
  /// For text and axes.
  public static let ink = Color(0x262626)
  /// For lines that guide the eye.
  public static let faint = Color(0xE4E4E4)

  /// Colors that people who see no red or no green tell apart too (Okabe & Ito 2008).
  public static let palette = [
    Color(0x0072B2), Color(0xD55E00), Color(0x009E73), Color(0xCC79A7), Color(0xE69F00),
    Color(0x56B4E9),
  ]

  /// The palette's color for the part of a chart with this index.
  static func ofPart(_ index: Int) -> Color { palette[index % palette.count] }
}
