import GlowKernels
import Testing

/// Widths that are multiples of eight, smaller, and neither.
private let widths = [1, 5, 8, 13, 16, 24, 35]

/// Whole pictures and bands: with both borders, the first, the last, neither; a picture of one position.
private let bands = [
  Band(height: 4, width: 5, firstRow: 0, rows: 4), Band(height: 4, width: 5, firstRow: 0, rows: 1),
  Band(height: 4, width: 5, firstRow: 2, rows: 2), Band(height: 4, width: 5, firstRow: 1, rows: 2),
  Band(height: 1, width: 1, firstRow: 0, rows: 1), Band(height: 3, width: 1, firstRow: 0, rows: 3),
]

/// Sums are those of the loops to the last bit: each is added up row by row.
@Suite("Bias and ReLU, against loops")
struct RectifierTests {
  /// Numbers of both signs, some zero, some not finite; after them a value that nobody may touch.
  private func values<S: Scalar>(_ count: Int, _ stream: UInt64) -> [S] {
    var values: [S] = random(count, stream)
    for index in stride(from: 3, to: count, by: 11) { values[index] = 0 }
    for index in stride(from: 6, to: count, by: 17) { values[index] = .nan }
    for index in stride(from: 9, to: count, by: 23) { values[index] = -.infinity }
    return values + [77]
  }

  private func rectified<S: Scalar>(_ x: S) -> S { x.isNaN ? x : max(0, x) }

  @Test("forward", arguments: widths)
  func forward(width: Int) {
    func check<S: Scalar>(_: S.Type) {
      for rows in [0, 1, 7] {
        let source: [S] = values(rows * width, 1)
        let bias: [S] = random(width, 2)
        let expected =
          (0..<rows * width).map { rectified(source[$0] + bias[$0 % width]) } + [77]
        var found = source
        addBiasAndRectify(&found, rows: rows, width: width, bias: bias)
        expectSame(found, expected)
      }
    }
    check(Float.self)
    check(Double.self)
  }

  @Test("backward", arguments: widths)
  func backward(width: Int) {
    func check<S: Scalar>(_: S.Type) {
      for rows in [0, 1, 7] {
        let activations: [S] = values(rows * width, 3).map { rectified($0) }
        let gradient: [S] = values(rows * width, 4)
        var sums: [S] = random(width, 5) + [77]
        var (expected, expectedSums) = (gradient, sums)
        for index in 0..<rows * width {
          if activations[index] <= 0 { expected[index] = 0 }
          expectedSums[index % width] += expected[index]
        }
        var found = gradient
        rectifyBackward(activations: activations, gradient: &found, rows: rows, width: width, sums: &sums)
        expectSame(found, expected)
        expectSame(sums, expectedSums)
      }
    }
    check(Float.self)
    check(Double.self)
  }

  @Test("forward with the bias of the border classes", arguments: widths, bands)
  func borderForward(width: Int, band: Band) {
    func check<S: Scalar>(_: S.Type) {
      for pictures in [1, 2, 5] {
        let count = band.rows * band.width * pictures * width
        let source: [S] = values(count, 6)
        let bias: [S] = random(borderClassCount * width, 7)
        var expected = source
        forEachValue(band, pictures, width) { index, place in
          expected[index] = rectified(source[index] + bias[place])
        }
        var found = source
        withClasses(band, pictures) {
          addBiasAndRectify(&found, rows: count / width, width: width, bias: bias, $0)
        }
        expectSame(found, expected)
      }
    }
    check(Float.self)
    check(Double.self)
  }

  @Test("backward with the bias of the border classes", arguments: widths, bands)
  func borderBackward(width: Int, band: Band) {
    func check<S: Scalar>(_: S.Type) {
      for pictures in [1, 2, 5] {
        let count = band.rows * band.width * pictures * width
        let activations: [S] = values(count, 8).map { rectified($0) }
        let gradient: [S] = values(count, 9)
        var sums: [S] = random(borderClassCount * width, 10) + [77]
        var (expected, expectedSums) = (gradient, sums)
        forEachValue(band, pictures, width) { index, place in
          if activations[index] <= 0 { expected[index] = 0 }
          expectedSums[place] += expected[index]
        }
        var found = gradient
        withClasses(band, pictures) {
          rectifyBackward(
            activations: activations, gradient: &found, rows: count / width, width: width, sums: &sums, $0)
        }
        expectSame(found, expected)
        expectSame(sums, expectedSums)
      }
    }
    check(Float.self)
    check(Double.self)
  }
}

@Suite("Sums over rows, against loops")
struct RowsTests {
  @Test("bias of every row", arguments: widths)
  func bias(width: Int) {
    func check<S: Scalar>(_: S.Type) {
      for rows in [0, 1, 6] {
        var found: [S] = random(rows * width, 1) + [77]
        let bias: [S] = random(width, 2)
        let expected = found.enumerated().map { $0 < rows * width ? $1 + bias[$0 % width] : $1 }
        addBias(&found, rows: rows, width: width, bias: bias)
        expectSame(found, expected)
      }
    }
    check(Float.self)
    check(Double.self)
  }

  @Test("bias and sums of the border classes", arguments: widths, bands)
  func borderBias(width: Int, band: Band) {
    func check<S: Scalar>(_: S.Type) {
      for pictures in [1, 3] {
        var found: [S] = random(band.rows * band.width * pictures * width, 3) + [77]
        let bias: [S] = random(borderClassCount * width, 4)
        var expected = found
        forEachValue(band, pictures, width) { index, place in expected[index] += bias[place] }
        withClasses(band, pictures) {
          addBias(&found, rows: band.rows * band.width * pictures, width: width, bias: bias, $0)
        }
        expectSame(found, expected)
        let values = found
        var sums: [S] = random(borderClassCount * width, 5) + [77]
        var expectedSums = sums
        forEachValue(band, pictures, width) { index, place in expectedSums[place] += values[index] }
        withClasses(band, pictures) {
          addRows(values, rows: band.rows * band.width * pictures, width: width, to: &sums, $0)
        }
        expectSame(sums, expectedSums)
      }
    }
    check(Float.self)
    check(Double.self)
  }

  @Test("sum of rows", arguments: widths)
  func rowSum(width: Int) {
    func check<S: Scalar>(_: S.Type) {
      for rows in [0, 1, 6] {
        let values: [S] = random(rows * width, 5)
        var found: [S] = random(width, 6) + [77]
        var expected = found
        for index in values.indices { expected[index % width] += values[index] }
        addRows(values, rows: rows, width: width, to: &found)
        expectSame(found, expected)
      }
    }
    check(Float.self)
    check(Double.self)
  }

  @Test("parts are added up in their order, in the columns of a range", arguments: [1, 2, 5])
  func parts(count: Int) {
    func check<S: Scalar>(_: S.Type) {
      let stride = 20
      let parts: [S] = random(count * stride, 9)
      for range in [0..<20, 3..<11, 7..<7] {
        var found = [S](repeating: 77, count: stride)
        let expected = (0..<stride).map { column in
          range.contains(column) ? (1..<count).reduce(parts[column]) { $0 + parts[$1 * stride + column] } : 77
        }
        addParts(parts, count, stride: stride, range, into: &found)
        expectSame(found, expected)
      }
    }
    check(Float.self)
    check(Double.self)
  }
}

/// Lends the classes of a band's rows.
private func withClasses(_ band: Band, _ pictures: Int, _ body: (RowClasses) -> Void) {
  let classes = BorderClasses(height: band.height, width: band.width)
  withExtendedLifetime(classes) { body(classes.rows(from: band.firstRow, pictures: pictures)) }
}

/// Calls (index in [band positions, pictures, width], index in [border classes, width]) for every value of a band.
private func forEachValue(_ band: Band, _ pictures: Int, _ width: Int, _ body: (Int, Int) -> Void) {
  for row in 0..<band.rows {
    for column in 0..<band.width {
      let y = band.firstRow + row
      let borderClass =
        (y == 0 ? 1 : 0) + (y == band.height - 1 ? 2 : 0) + (column == 0 ? 4 : 0)
        + (column == band.width - 1 ? 8 : 0)
      for picture in 0..<pictures {
        for channel in 0..<width {
          body(
            ((row * band.width + column) * pictures + picture) * width + channel,
            borderClass * width + channel)
        }
      }
    }
  }
}
