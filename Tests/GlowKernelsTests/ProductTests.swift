import CGlowKernels
import GlowKernels
import GlowTestSupport
import Testing

/// Every value of a packed product is one chain of fused multiply-adds, whatever the blocking and the processor.
@Suite(
  "Packed products, against the chain that defines them",
  .needs(
    "Tests of packed products", !InstructionSet.available.isEmpty, lack: "the processor has no AVX2 with FMA")
)
struct ProductTests {
  private static let none: Float = 77

  /// A product in memory with gaps between its rows, which nobody may touch.
  private struct Case {
    let (rows, inner, columns): (Int, Int, Int)
    let a: [Float]
    let b: [Float]
    var c: [Float]
    var aRow: Int { inner + 3 }
    var cRow: Int { columns + 5 }
    var biasClasses = 1

    init(_ rows: Int, _ inner: Int, _ columns: Int) {
      (self.rows, self.inner, self.columns) = (rows, inner, columns)
      a = random(rows * (inner + 3), 1)
      b = random(inner * columns, 2)
      c = random(rows * (columns + 5), 3)
    }

    func valueOfA(_ i: Int, _ k: Int) -> Float { a[i * aRow + k] }

    func chain(_ i: Int, _ j: Int, from start: Float) -> Float {
      (0..<inner).reduce(start) { $0.addingProduct(valueOfA(i, $1), b[$1 * columns + j]) }
    }

    var panels: [Float] {
      var panels = [Float](repeating: .nan, count: Int(glow_packed_count(inner, columns)))
      glow_pack(b, columns, 1, inner, columns, &panels)
      return panels
    }
  }

  /// Runs a product with all instruction sets, and expects C to become what `expected` says of each value.
  private func check(
    _ test: Case, _ change: (inout glow_product) -> Void = { _ in },
    sourceLocation: SourceLocation = #_sourceLocation,
    expected: (Int, Int) -> Float
  ) {
    var wanted = test.c
    for i in 0..<test.rows { for j in 0..<test.columns { wanted[i * test.cRow + j] = expected(i, j) } }
    let panels = test.panels
    for instructions in InstructionSet.available {
      var c = test.c
      var product = glow_product()
      (product.rows, product.inner, product.columns) = (test.rows, test.inner, test.columns)
      (product.a_row, product.c_row) = (test.aRow, test.cRow)
      test.a.withUnsafeBufferPointer { a in
        panels.withUnsafeBufferPointer { panels in
          c.withUnsafeMutableBufferPointer { c in
            (product.a, product.b, product.c) = (a.baseAddress, panels.baseAddress, c.baseAddress)
            change(&product)
            glow_multiply(&product, instructions.code)
          }
        }
      }
      expectSame(c, wanted, sourceLocation: sourceLocation)
    }
  }

  @Test("any number of rows and columns")
  func sizes() {
    for rows in Array(0...30) + [41, 256] {
      for columns in [1, 7, 8, 15, 16, 17, 31, 32, 33, 48, 54, 108] {
        let test = Case(rows, (rows * 7 + columns) % 23, columns)
        check(test) { test.chain($0, $1, from: 0) }
      }
    }
  }

  @Test("long inner dimensions", arguments: [0, 1, 2, 54, 512, 1153])
  func inner(count: Int) {
    let test = Case(33, count, 40)
    check(test) { test.chain($0, $1, from: 0) }
    func accumulate(_ product: inout glow_product) { product.accumulate = 1 }
    check(test, accumulate) { test.chain($0, $1, from: test.c[$0 * test.cRow + $1]) }
  }

  @Test("biases, of one class or several, before what is there or with it", arguments: [16, 40, 13])
  func bias(columns: Int) {
    let test = Case(29, 11, columns)
    let bias: [Float] = random(3 * columns, 4)
    let classes: [UInt8] = [2, 0, 1, 1, 0, 2, 2, 0, 1, 0]
    bias.withUnsafeBufferPointer { bias in
      classes.withUnsafeBufferPointer { classes in
        check(test, { $0.bias = bias.baseAddress }) { test.chain($0, $1, from: bias[$1]) }
        func several(_ product: inout glow_product) {
          product.bias = bias.baseAddress
          product.classes = classes.baseAddress
          product.rows_per_class = 3
          product.class_stride = columns
        }
        func own(_ i: Int, _ j: Int) -> Float { bias[Int(classes[i / 3]) * columns + j] }
        check(test, several) { test.chain($0, $1, from: own($0, $1)) }
        check(
          test,
          {
            several(&$0)
            $0.accumulate = 1
          }
        ) { test.chain($0, $1, from: test.c[$0 * test.cRow + $1] + own($0, $1)) }
      }
    }
  }

  @Test("ReLU, its backward and the sum of rows", arguments: [16, 40, 13])
  func finish(columns: Int) {
    var test = Case(29, 11, columns)
    // What is not a number stays so.
    test.c[3] = .nan
    func rectify(_ product: inout glow_product) {
      product.rectify = 1
      product.accumulate = 1
    }
    check(test, rectify) {
      let value = test.chain($0, $1, from: test.c[$0 * test.cRow + $1])
      return value < 0 ? 0 : value
    }
    var activations: [Float] = random(29 * (columns + 2), 5)
    for index in stride(from: 0, to: activations.count, by: 5) { activations[index] = 0 }
    activations[7] = .nan
    let classes: [UInt8] = [1, 0, 1, 1, 0, 1, 1, 0, 1, 0]
    func gradient(_ i: Int, _ j: Int) -> Float {
      activations[i * (columns + 2) + j] <= 0 ? 0 : test.chain(i, j, from: 0)
    }
    for isOfClasses in [false, true] {
      let start: [Float] = random(2 * columns, 6) + [Self.none]
      var wanted = start
      for i in 0..<29 {
        for j in 0..<columns {
          wanted[(isOfClasses ? Int(classes[i / 3]) : 0) * columns + j] += gradient(i, j)
        }
      }
      var runs = 0
      var sums = [Float](repeating: 0, count: start.count)
      sums.withUnsafeMutableBufferPointer { sums in
        activations.withUnsafeBufferPointer { activations in
          classes.withUnsafeBufferPointer { classes in
            check(
              test,
              { product in
                if runs > 0 { expectSame(Array(sums), wanted) }
                runs += 1
                _ = sums.update(fromContentsOf: start)
                product.activations = activations.baseAddress
                product.activation_row = columns + 2
                product.sums = sums.baseAddress
                product.classes = isOfClasses ? classes.baseAddress : nil
                product.rows_per_class = 3
                product.class_stride = columns
              }, expected: gradient)
          }
        }
      }
      expectSame(sums, wanted)
      #expect(runs == InstructionSet.available.count)
    }
  }

  @Test("gradients of weights go on with the chain of the tile before", arguments: [1, 5, 14, 33, 130])
  func gradients(rows: Int) {
    for (inner, columns) in [(1, 16), (7, 5), (256, 33), (257, 54), (600, 17), (0, 4)] {
      let a: [Float] = random(inner * (rows + 1), 1)
      let b: [Float] = random(inner * (columns + 2), 2)
      let start: [Float] = random(rows * (columns + 3), 3)
      for accumulates in [false, true] {
        var wanted = start
        for i in 0..<rows {
          for j in 0..<columns {
            wanted[i * (columns + 3) + j] = (0..<inner).reduce(accumulates ? start[i * (columns + 3) + j] : 0)
            {
              $0.addingProduct(a[$1 * (rows + 1) + i], b[$1 * (columns + 2) + j])
            }
          }
        }
        for instructions in InstructionSet.available {
          var c = start
          var scratch = [Float](repeating: .nan, count: gradientScratchCount(columns: columns))
          var gradient = glow_gradient()
          (gradient.rows, gradient.inner, gradient.columns) = (rows, inner, columns)
          (gradient.a_row, gradient.b_row, gradient.c_row) = (rows + 1, columns + 2, columns + 3)
          gradient.accumulate = accumulates ? 1 : 0
          a.withUnsafeBufferPointer { a in
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

  @Test("the same by way of matrices, packed or by OpenBLAS")
  func matrices() {
    let (rows, inner, columns) = (27, 30, 20)
    let a: [Float] = random(rows * inner, 1)
    for isTransposed in [false, true] {
      var (a, b, bias): ([Float], [Float], [Float]) = (a, random(inner * columns, 2), random(columns, 3))
      var panels = [Float](repeating: 0, count: Operand<Float>.panelCount(rows: inner, columns: columns))
      a.withUnsafeMutableBufferPointer { a in
        b.withUnsafeMutableBufferPointer { b in
          bias.withUnsafeMutableBufferPointer { bias in
            let stored =
              isTransposed
              ? Matrix(b.baseAddress!, rows: columns, columns: inner).transposed
              : Matrix(b.baseAddress!, rows: inner, columns: columns)
            Float.pack(stored, into: &panels)
            panels.withUnsafeBufferPointer { panels in
              func result(_ operand: Operand<Float>) -> [Float] {
                var c = [Float](repeating: 0, count: rows * columns)
                c.withUnsafeMutableBufferPointer {
                  multiply(
                    Matrix(a.baseAddress!, rows: rows, columns: inner), operand,
                    into: Matrix($0.baseAddress!, rows: rows, columns: columns),
                    .bias(bias.baseAddress!, rectifies: true))
                }
                return c
              }
              let packed = result(Operand(stored, panels: panels.baseAddress))
              let other = result(Operand(stored))
              #expect(zip(packed, other).allSatisfy { abs($0 - $1) < 1e-5 })
              #expect(packed.contains { $0 > 0 } && packed.contains(0))
            }
          }
        }
      }
    }
  }

  @Test("a wrong order of the chain is seen")
  func order() {
    let test = Case(30, 40, 5)
    let differs = (0..<30).contains { i in
      let backward = (0..<40).reversed().reduce(Float(0)) {
        $0.addingProduct(test.valueOfA(i, $1), test.b[$1 * 5])
      }
      return backward != test.chain(i, 0, from: 0)
    }
    #expect(differs)
  }
}
