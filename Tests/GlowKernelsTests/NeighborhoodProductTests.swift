import CGlowKernels
import GlowKernels
import Testing

/// Products of neighborhoods that are read where they are, against the chains over gathered ones; to the bit.
@Suite("Products of neighborhoods in place", .enabled(if: !InstructionSet.available.isEmpty))
struct NeighborhoodProductTests {
  /// A bordered band, and its patches as rows of a matrix.
  private struct Case {
    let band: Band
    let channels: Int
    let bordered: [Float]
    let patches: [Float]
    var rows: Int { band.rows * band.width }
    var inner: Int { 9 * channels }
    var line: Int { (band.width + 2) * channels }

    init(width: Int, rows: Int, channels: Int) {
      (band, self.channels) = (Band(height: rows, width: width, firstRow: 0, rows: rows), channels)
      let picture: [Float] = random(rows * width * channels, 1)
      var bordered = [Float](repeating: .nan, count: band.borderedCount(channels: channels))
      border(picture, stride: channels, channels: channels, band: band, into: &bordered)
      var patches = [Float](repeating: .nan, count: rows * width * 9 * channels)
      gatherPatches(bordered, channels: channels, band: band, into: &patches, rowStep: 1)
      (self.bordered, self.patches) = (bordered, patches)
    }

    func neighborhoods(from row: Int) -> glow_neighborhoods {
      glow_neighborhoods(
        segments: 3, segment_step: line, line_rows: band.width, line_step: line,
        line_start: row % band.width)
    }
  }

  private static let cases = [
    (16, 4, 3), (16, 16, 6), (5, 3, 1), (1, 4, 2), (13, 2, 7), (32, 3, 8), (2, 2, 16),
    (13, 24, 3),
  ]

  @Test("A·B, from any row on", arguments: cases)
  func products(width: Int, rows: Int, channels: Int) {
    let test = Case(width: width, rows: rows, channels: channels)
    for columns in [1, 16, 37] {
      let b: [Float] = random(test.inner * columns, 2)
      var panels = [Float](repeating: .nan, count: Int(glow_packed_count(test.inner, columns)))
      glow_pack(b, columns, 1, test.inner, columns, &panels)
      for start in Set([0, 1, width - 1, width, width + 2]) where start < test.rows {
        let count = test.rows - start
        var wanted = [Float](repeating: 0, count: count * columns)
        for row in 0..<count {
          for column in 0..<columns {
            for k in 0..<test.inner {
              wanted[row * columns + column] = wanted[row * columns + column]
                .addingProduct(test.patches[(start + row) * test.inner + k], b[k * columns + column])
            }
          }
        }
        for instructions in InstructionSet.available {
          var c = [Float](repeating: .nan, count: count * columns)
          var product = glow_product()
          (product.rows, product.inner, product.columns) = (count, test.inner, columns)
          (product.a_row, product.c_row) = (channels, columns)
          product.neighborhoods = test.neighborhoods(from: start)
          test.bordered.withUnsafeBufferPointer { a in
            panels.withUnsafeBufferPointer { panels in
              c.withUnsafeMutableBufferPointer { c in
                product.a = a.baseAddress! + start / width * test.line
                (product.b, product.c) = (panels.baseAddress, c.baseAddress)
                glow_multiply(&product, instructions.code)
              }
            }
          }
          expectSame(c, wanted)
        }
      }
    }
  }

  @Test("Aᵀ·B: the gradient of weights", arguments: cases)
  func gradients(width: Int, rows: Int, channels: Int) {
    let test = Case(width: width, rows: rows, channels: channels)
    for columns in [1, 16, 37] {
      let b: [Float] = random(test.rows * columns, 2)
      let start: [Float] = random(test.inner * columns, 3)
      for accumulates in [false, true] {
        var wanted = accumulates ? start : [Float](repeating: 0, count: start.count)
        for row in 0..<test.rows {
          for k in 0..<test.inner {
            for column in 0..<columns {
              let place = k * columns + column
              wanted[place] = wanted[place]
                .addingProduct(test.patches[row * test.inner + k], b[row * columns + column])
            }
          }
        }
        for instructions in InstructionSet.available {
          var c = start
          var scratch = [Float](repeating: .nan, count: gradientScratchCount(columns: columns))
          var gradient = glow_gradient()
          (gradient.rows, gradient.inner, gradient.columns) = (test.inner, test.rows, columns)
          (gradient.a_row, gradient.b_row, gradient.c_row) = (channels, columns, columns)
          gradient.neighborhoods = test.neighborhoods(from: 0)
          gradient.accumulate = accumulates ? 1 : 0
          test.bordered.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
              c.withUnsafeMutableBufferPointer { c in
                (gradient.a, gradient.b, gradient.c) = (a.baseAddress, b.baseAddress, c.baseAddress)
                glow_add_gradient(&gradient, &scratch, instructions.code)
              }
            }
          }
          expectSame(c, wanted)
        }
      }
    }
  }

  @Test("some of the rows, as layers ask for them", arguments: [0..<5, 7..<40, 16..<32, 33..<64])
  func someRows(range: Range<Int>) {
    let test = Case(width: 16, rows: 4, channels: 6)
    var (b, panels): ([Float], [Float]) = (random(test.inner * 20, 2), [])
    b.withUnsafeMutableBufferPointer { b in
      let matrix = Matrix(b.baseAddress!, rows: test.inner, columns: 20)
      panels = [Float](repeating: 0, count: Operand<Float>.panelCount(rows: test.inner, columns: 20))
      Float.pack(matrix, into: &panels)
      func result(_ a: ProductRows<Float>) -> [Float] {
        var c = [Float](repeating: .nan, count: range.count * 20)
        panels.withUnsafeBufferPointer { panels in
          c.withUnsafeMutableBufferPointer { c in
            multiply(
              a.rows(range), Operand(matrix, panels: panels.baseAddress),
              into: Matrix(c.baseAddress!, rows: range.count, columns: 20))
          }
        }
        return c
      }
      let inPlace = test.bordered.withUnsafeBufferPointer {
        result(ProductRows($0.baseAddress!, channels: test.channels, band: test.band))
      }
      var patches = test.patches
      let gathered = patches.withUnsafeMutableBufferPointer {
        result(ProductRows(Matrix($0.baseAddress!, rows: test.rows, columns: test.inner)))
      }
      expectSame(inPlace, gathered)
    }
  }
}
