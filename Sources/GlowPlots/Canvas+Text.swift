import CCairo

/// Which part of a text stands at the place that it is given.
public enum TextAnchor: Sendable {
  /// Its left end.
  case start
  /// Its middle.
  case middle
  /// Its right end.
  case end
}

/// How a text looks.
public struct TextStyle: Sendable, Hashable {
  /// Of the font, in points.
  public var size: Double
  /// Whether its strokes are thick.
  public var isBold: Bool
  /// Of its letters.
  public var color: Color

  /// A style; by default that of a chart's numbers.
  public init(size: Double = 11, isBold: Bool = false, color: Color = .ink) {
    self.size = size
    self.isBold = isBold
    self.color = color
  }

  /// Height of a line.
  var lineHeight: Double { (size * 1.3).rounded(.up) }
}

extension Canvas {
  /// Draws a line of text in DejaVu Sans. Calls `cairo_show_text`.
  ///
  /// Where that font is missing fontconfig takes the nearest, and where there is none cairo draws with lines
  /// of its own.
  ///
  /// - Parameters:
  ///   - place: at half the height of the capitals.
  ///   - anchor: the part of the text that stands there.
  ///   - isUpward: true turns the text by a quarter, to be read from below.
  public func text(
    _ text: String, at place: Point, anchor: TextAnchor = .start, style: TextStyle = TextStyle(),
    isUpward: Bool = false
  ) {
    let width = textWidth(text, style: style)
    let offset =
      switch anchor {
      case .start: 0.0
      case .middle: -width / 2
      case .end: -width
      }
    setColor(style.color)
    cairo_save(context)
    cairo_translate(context, place.x, place.y)
    if isUpward { cairo_rotate(context, -.pi / 2) }
    // Capitals of DejaVu Sans are 0.73 of the size high.
    cairo_move_to(context, offset, 0.365 * style.size)
    cairo_show_text(context, text)
    cairo_restore(context)
  }

  /// Width of a line of text in points. Calls `cairo_text_extents`.
  public func textWidth(_ text: String, style: TextStyle = TextStyle()) -> Double {
    select(style)
    var extents = cairo_text_extents_t()
    cairo_text_extents(context, text, &extents)
    return extents.x_advance
  }

  private func select(_ style: TextStyle) {
    cairo_select_font_face(
      context, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL,
      style.isBold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL)
    cairo_set_font_size(context, style.size)
    // Gray edges and unrounded widths: the same picture whatever screen the machine has.
    let options = cairo_font_options_create()
    cairo_font_options_set_antialias(options, CAIRO_ANTIALIAS_GRAY)
    cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE)
    cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF)
    cairo_set_font_options(context, options)
    cairo_font_options_destroy(options)
  }
}
