/// A place on a canvas, or a pair of values in a chart.
public struct Point: Sendable, Hashable {
  /// To the right.
  public var x: Double
  /// Downwards on a canvas, upwards in a chart.
  public var y: Double

  /// The place (x, y).
  public init(_ x: Double, _ y: Double) {
    self.x = x
    self.y = y
  }
}

/// An upright rectangle; `y` grows downwards.
public struct Rectangle: Sendable, Hashable {
  /// Its left edge.
  public var x: Double
  /// Its upper edge.
  public var y: Double
  /// From left to right.
  public var width: Double
  /// From top to bottom.
  public var height: Double

  /// A rectangle from its upper left corner on.
  public init(x: Double, y: Double, width: Double, height: Double) {
    self.x = x
    self.y = y
    self.width = width
    self.height = height
  }

  /// Its right edge.
  public var right: Double { x + width }
  /// Its lower edge.
  public var bottom: Double { y + height }
}

/// Red, green and blue in 0...1.
public struct Color: Sendable, Hashable {
  /// The share of red.
  public var red: Double
  /// The share of green.
  public var green: Double
  /// The share of blue.
  public var blue: Double

  /// A color of these shares.
  public init(red: Double, green: Double, blue: Double) {
    self.red = red
    self.green = green
    self.blue = blue
  }

  /// A color as style sheets write it.
  ///
  /// - Parameter code: 0xRRGGBB.
  public init(_ code: UInt32) {
    self.init(
      red: Double(code >> 16 & 0xFF) / 255, green: Double(code >> 8 & 0xFF) / 255,
      blue: Double(code & 0xFF) / 255)
  }

  /// No light.
  public static let black = Color(0x000000)
  /// All of it.
  public static let white = Color(0xFFFFFF)
  /// For text and axes.
  public static let ink = Color(0x262626)
  /// For lines that guide the eye.
  public static let faint = Color(0xE4E4E4)

  /// Colors that people who see no red or no green tell apart too (Okabe & Ito 2008), with a dark brown in place of their
  /// yellow, which is too faint for lines.
  public static let palette = [
    Color(0x0072B2), Color(0xD55E00), Color(0x009E73), Color(0xCC79A7), Color(0xE69F00),
    Color(0x56B4E9), Color(0x000000), Color(0x7F4F24),
  ]

  /// The palette's color for the part of a chart with this index.
  static func ofPart(_ index: Int) -> Color { palette[index % palette.count] }
}
