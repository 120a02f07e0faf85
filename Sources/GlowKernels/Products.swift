import CGlowKernels

/// A product [rows × inner]·[inner × columns].
package struct ProductShape: Sendable, Hashable {
  package let inner: Int
  package let columns: Int

  package init(inner: Int, columns: Int) {
    self.inner = inner
    self.columns = columns
  }
}

/// The right side of a product: a matrix of weights, and its packed panels if there are any.
package struct Operand<S: Scalar> {
  package let matrix: Matrix<S>
  package let panels: UnsafePointer<S>?

  package init(_ matrix: Matrix<S>, panels: UnsafePointer<S>? = nil) {
    self.matrix = matrix
    self.panels = panels
  }

  /// Values of the panels of a matrix.
  package static func panelCount(rows: Int, columns: Int) -> Int { glow_packed_count(rows, columns) }
}

/// The left side of a product: a matrix, or the neighborhoods of a convolution, which packed products read where they are.
@usableFromInline
package struct ProductRows<S: Scalar> {
  let base: UnsafePointer<S>
  let stride: Int
  let isTransposed: Bool
  let neighborhoods: glow_neighborhoods
  package let rows: Int
  package let columns: Int

  package init(_ matrix: Matrix<S>) {
    (base, stride, isTransposed) = (UnsafePointer(matrix.base), matrix.stride, matrix.isTransposed)
    (rows, columns) = (matrix.rows, matrix.columns)
    neighborhoods = glow_neighborhoods()
  }

  /// The 3×3 neighborhoods of a band's positions, [positions, 9·channels], of its bordered copy (`border`).
  package init(_ bordered: UnsafePointer<S>, channels: Int, band: Band) {
    let line = (band.width + 2) * channels
    (base, stride, isTransposed) = (bordered, channels, false)
    (rows, columns) = (band.rows * band.width, 9 * channels)
    neighborhoods = glow_neighborhoods(
      segments: 3, segment_step: line, line_rows: band.width, line_step: line, line_start: 0)
  }

  private init(_ whole: ProductRows, _ range: Range<Int>) {
    assert(!whole.isTransposed && range.lowerBound >= 0 && range.upperBound <= whole.rows)
    (stride, isTransposed, columns, rows) = (whole.stride, false, whole.columns, range.count)
    var neighborhoods = whole.neighborhoods
    if neighborhoods.line_rows == 0 {
      base = whole.base + range.lowerBound * stride
    } else {
      let (line, place) = (range.lowerBound + neighborhoods.line_start)
        .quotientAndRemainder(dividingBy: neighborhoods.line_rows)
      base = whole.base + line * neighborhoods.line_step
      neighborhoods.line_start = place
    }
    self.neighborhoods = neighborhoods
  }

  /// Some of the rows.
  package func rows(_ range: Range<Int>) -> ProductRows { ProductRows(self, range) }

  /// The rows as a matrix, if they are one.
  package var matrix: Matrix<S>? {
    if neighborhoods.segments > 0 { return nil }
    let base = UnsafeMutablePointer(mutating: base)
    return isTransposed
      ? Matrix(base, rows: columns, columns: rows, stride: stride).transposed
      : Matrix(base, rows: rows, columns: columns, stride: stride)
  }
}

/// The class of each row of a product, of which some have biases and sums of their own.
package struct RowClasses {
  /// Of rows that have the same class one after the other.
  let classes: UnsafePointer<UInt8>
  let rowsPerClass: Int

  package init(_ classes: UnsafePointer<UInt8>, rowsPerClass: Int) {
    self.classes = classes
    self.rowsPerClass = rowsPerClass
  }

  /// Those of the rows from one on, with which a class must begin.
  package func from(_ row: Int) -> RowClasses {
    assert(row % rowsPerClass == 0)
    return RowClasses(classes + row / rowsPerClass, rowsPerClass: rowsPerClass)
  }

  @inline(__always)
  subscript(row: Int) -> Int { Int(classes[row / rowsPerClass]) }
}

extension RowClasses: @unchecked Sendable {}

/// What a product does with its result before it leaves the registers.
@usableFromInline
package struct Epilogue<S: Scalar> {
  /// Adds to what C holds.
  package var accumulates = false
  /// Added to each row: [columns], or [classes, columns].
  package var bias: UnsafePointer<S>?
  package var classes: RowClasses?
  /// C ← max(0, C).
  package var rectifies = false
  /// C ← 0 where these, of the shape of C, are zero or less, as the backward of a ReLU does; goes with neither bias nor ReLU.
  package var activations: Matrix<S>?
  /// The rows are added to it: [columns], or [classes, columns].
  package var sums: UnsafeMutablePointer<S>?

  /// Whether the product alone is wanted.
  var isEmpty: Bool { bias == nil && !rectifies && activations == nil && sums == nil }

  package init(accumulates: Bool = false) { self.accumulates = accumulates }

  /// C ← A·B + bias, and max(0, C) if it `rectifies`.
  package static func bias(
    _ bias: UnsafePointer<S>, _ classes: RowClasses? = nil, rectifies: Bool = false, accumulates: Bool = false
  ) -> Epilogue {
    var epilogue = Epilogue(accumulates: accumulates)
    (epilogue.bias, epilogue.classes, epilogue.rectifies) = (bias, classes, rectifies)
    return epilogue
  }

  /// The backward of bias and ReLU: C ← A·B where the activations are above zero, whose sum over rows is added to `sums`.
  package static func rectifierBackward(
    _ activations: Matrix<S>, sums: UnsafeMutablePointer<S>, _ classes: RowClasses? = nil
  ) -> Epilogue {
    var epilogue = Epilogue()
    (epilogue.activations, epilogue.sums, epilogue.classes) = (activations, sums, classes)
    return epilogue
  }
}

/// C ← epilogue(A·B): [M × K]·[K × N] → [M × N].
///
/// Made of the panels of B, if it has any, else by OpenBLAS; on the caller's thread alone. C has no gaps between its rows
/// where there is a bias, a ReLU or a sum.
@inline(__always)
package func multiply<S: Scalar>(
  _ a: Matrix<S>, _ b: Operand<S>, into c: Matrix<S>, _ epilogue: Epilogue<S> = .init()
) {
  multiply(ProductRows(a), b, into: c, epilogue)
}

/// The same of rows that may be neighborhoods, for which B must have panels.
@specialized(where S == Float)
@specialized(where S == Double)
package func multiply<S: Scalar>(
  _ a: ProductRows<S>, _ b: Operand<S>, into c: Matrix<S>, _ epilogue: Epilogue<S> = .init()
) {
  if let activations = epilogue.activations {
    precondition(
      activations.rows == c.rows && activations.columns == c.columns && epilogue.bias == nil
        && !epilogue.rectifies && epilogue.sums != nil, "an epilogue that is not one")
  }
  guard let panels = b.panels else {
    multiply(a.matrix!, b.matrix, into: c, accumulate: epilogue.accumulates)
    finish(c, epilogue)
    return
  }
  precondition(
    a.columns == b.matrix.rows && c.rows == a.rows && c.columns == b.matrix.columns && !a.isTransposed
      && !c.isTransposed, "matrix shapes do not fit")
  S.multiplyPacked(a, panels, into: c, epilogue)
}

/// What an epilogue does, after the product.
@inline(__always)
private func finish<S: Scalar>(_ c: Matrix<S>, _ epilogue: Epilogue<S>) {
  let (base, rows, width, classes) = (c.base, c.rows, c.columns, epilogue.classes)
  precondition(
    epilogue.isEmpty || c.stride == width && (epilogue.activations?.stride ?? width) == width,
    "OpenBLAS's products have their epilogues on rows without gaps")
  if let activations = epilogue.activations {
    rectifyBackward(
      activations: activations.base, gradient: base, rows: rows, width: width, sums: epilogue.sums!, classes)
    return
  }
  switch (epilogue.bias, epilogue.rectifies) {
  case (let bias?, true): addBiasAndRectify(base, rows: rows, width: width, bias: bias, classes)
  case (let bias?, false): addBias(base, rows: rows, width: width, bias: bias, classes)
  case (nil, true): rectify(base, count: rows * width, into: base)
  case (nil, false): break
  }
  if let sums = epilogue.sums { addRows(base, rows: rows, width: width, to: sums, classes) }
}

/// C ← Aᵀ·B, or C ← C + Aᵀ·B, with nothing packed before: the gradient of weights.
///
/// - Parameter scratch: `gradientScratchCount` values for products that are to be packed on the way; nil for OpenBLAS.
@inline(__always)
package func multiplyTransposed<S: Scalar>(
  _ a: Matrix<S>, _ b: Matrix<S>, into c: Matrix<S>, accumulate: Bool, scratch: UnsafeMutablePointer<S>?
) {
  multiplyTransposed(ProductRows(a), b, into: c, accumulate: accumulate, scratch: scratch)
}

/// The same of rows that may be neighborhoods, for which there must be scratch.
@specialized(where S == Float)
@specialized(where S == Double)
package func multiplyTransposed<S: Scalar>(
  _ a: ProductRows<S>, _ b: Matrix<S>, into c: Matrix<S>, accumulate: Bool, scratch: UnsafeMutablePointer<S>?
) {
  guard let scratch else {
    multiply(a.matrix!.transposed, b, into: c, accumulate: accumulate)
    return
  }
  precondition(
    a.rows == b.rows && c.rows == a.columns && c.columns == b.columns && !c.isTransposed && !a.isTransposed
      && !b.isTransposed, "matrix shapes do not fit")
  S.multiplyTransposedPacked(a, b, into: c, accumulate: accumulate, scratch: scratch)
}

/// Values of the scratch of `multiplyTransposed`, for products of so many columns.
package func gradientScratchCount(columns: Int) -> Int { glow_packed_count(glow_gradient_rows, columns) }

/// Multiplies and adds in the registers of the caller's thread alone: what no product can exceed.
///
/// - Returns: the multiply-adds done; 0 where the processor has no packed products.
package func multiplyAddsInRegisters(_ repetitions: Int) -> Double {
  InstructionSet.chosen.map { glow_multiply_adds(repetitions, $0.code) } ?? 0
}

extension Float {
  @usableFromInline
  package static var hasPackedProducts: Bool { InstructionSet.chosen != nil }

  @usableFromInline
  package static func pack(_ matrix: Matrix<Float>, into panels: UnsafeMutablePointer<Float>) {
    glow_pack(
      matrix.base, matrix.isTransposed ? 1 : matrix.stride, matrix.isTransposed ? matrix.stride : 1,
      matrix.rows,
      matrix.columns, panels)
  }

  @usableFromInline
  package static func multiplyPacked(
    _ a: ProductRows<Float>, _ panels: UnsafePointer<Float>, into c: Matrix<Float>,
    _ epilogue: Epilogue<Float>
  ) {
    var product = glow_product()
    product.rows = c.rows
    product.inner = a.columns
    product.columns = c.columns
    product.a = a.base
    product.neighborhoods = a.neighborhoods
    product.a_row = a.stride
    product.b = panels
    product.c = c.base
    product.c_row = c.stride
    product.accumulate = epilogue.accumulates ? 1 : 0
    product.bias = epilogue.bias
    product.classes = epilogue.classes?.classes
    product.rows_per_class = epilogue.classes?.rowsPerClass ?? 1
    product.class_stride = c.columns
    product.rectify = epilogue.rectifies ? 1 : 0
    product.activations = epilogue.activations.map { UnsafePointer($0.base) }
    product.activation_row = epilogue.activations?.stride ?? 0
    product.sums = epilogue.sums
    glow_multiply(&product, InstructionSet.chosen!.code)
  }

  @usableFromInline
  package static func multiplyTransposedPacked(
    _ a: ProductRows<Float>, _ b: Matrix<Float>, into c: Matrix<Float>, accumulate: Bool,
    scratch: UnsafeMutablePointer<Float>
  ) {
    var gradient = glow_gradient()
    gradient.rows = c.rows
    gradient.inner = a.rows
    gradient.columns = c.columns
    gradient.a = a.base
    gradient.neighborhoods = a.neighborhoods
    gradient.a_row = a.stride
    gradient.b = UnsafePointer(b.base)
    gradient.b_row = b.stride
    gradient.c = c.base
    gradient.c_row = c.stride
    gradient.accumulate = accumulate ? 1 : 0
    glow_add_gradient(&gradient, scratch, InstructionSet.chosen!.code)
  }
}

/// Double is for checks and has no packed products.
extension Double {
  @usableFromInline
  package static var hasPackedProducts: Bool { false }

  private static func refuse() -> Never { preconditionFailure("there are no packed products in Double") }

  @usableFromInline
  package static func pack(_ matrix: Matrix<Double>, into panels: UnsafeMutablePointer<Double>) {
    refuse()
  }

  @usableFromInline
  package static func multiplyPacked(
    _ a: ProductRows<Double>, _ panels: UnsafePointer<Double>, into c: Matrix<Double>,
    _ epilogue: Epilogue<Double>
  ) { refuse() }

  @usableFromInline
  package static func multiplyTransposedPacked(
    _ a: ProductRows<Double>, _ b: Matrix<Double>, into c: Matrix<Double>, accumulate: Bool,
    scratch: UnsafeMutablePointer<Double>
  ) { refuse() }
}
