import CGlowKernels
import GlowKernels
import Testing

/// The functions in C for every set of instructions that the processor has, and for none, beside the same in Swift; to
/// the bit.
@Suite("Vector functions in C, against those in Swift")
struct VectorVariantTests {
  static let variants = [glow_instructions_none] + InstructionSet.available.map(\.code)
  static let counts = [0, 1, 2, 3, 5, 6, 7, 8, 11, 12, 24, 31, 512]

  private func random(_ count: Int, _ stream: UInt64) -> [Float] {
    var values = [Float](repeating: 0, count: count)
    values.withUnsafeMutableBufferPointer {
      Philox(seed: 6, purpose: .latents, stream: stream).fillNormal($0)
    }
    return values
  }

  private func expectSame(_ found: [Float], _ expected: [Float], _ variant: glow_instructions) {
    // What is not a number has more than one pattern of bits.
    func bits(_ values: [Float]) -> [UInt32] { values.map { $0.isNaN ? .max : $0.bitPattern } }
    #expect(bits(found) == bits(expected), "instructions \(variant.rawValue)")
  }

  @Test("sums and products of values", arguments: counts)
  func sums(count: Int) {
    let (values, start) = (random(count, 1), random(count, 3))
    for variant in Self.variants {
      var found = start
      glow_add(&found, values, count, variant)
      expectSame(found, zip(start, values).map { $0 + $1 }, variant)
    }
  }

  @Test("rows of weights are scaled, and their gradient comes back", arguments: counts, [1, 2])
  func scaledRows(channels: Int, planes: Int) {
    // Rows with gaps, which stay as they are.
    let (rows, width) = (3, channels * planes)
    let (storedStep, scaledStep) = (width + 2, width + 5)
    let (stored, scaled) = (random(rows * storedStep, 1), random(rows * scaledStep, 2))
    let (gradient, factors) = (random(rows * scaledStep, 3), random(width, 4))
    for variant in Self.variants {
      var (values, products) = (stored, scaled)
      func withScaling(_ body: (inout glow_scaling) -> Void) {
        values.withUnsafeMutableBufferPointer { values in
          products.withUnsafeMutableBufferPointer { products in
            factors.withUnsafeBufferPointer { factors in
              var scaling = glow_scaling(
                rows: rows, channels: channels, planes: planes, factors: factors.baseAddress,
                stored: values.baseAddress, stored_step: storedStep, scaled: products.baseAddress,
                scaled_step: scaledStep)
              body(&scaling)
            }
          }
        }
      }
      func storedPlace(_ row: Int, _ place: Int) -> Int {
        row * storedStep + place % channels * planes + place / channels
      }
      withScaling { glow_scale(&$0, variant) }
      var expected = scaled
      for row in 0..<rows {
        for place in 0..<width {
          expected[row * scaledStep + place] = stored[storedPlace(row, place)] * factors[place]
        }
      }
      expectSame(products, expected, variant)
      expectSame(values, stored, variant)
      for accumulates in [false, true] {
        (values, products) = (stored, scaled)
        var (factorSums, expectedSums, expectedValues) = (factors, factors, stored)
        withScaling { glow_scale_backward(&$0, gradient, &factorSums, accumulates ? 1 : 0, variant) }
        for row in 0..<rows {
          for place in 0..<width {
            let g = gradient[row * scaledStep + place]
            let product = g * factors[place]
            expectedValues[storedPlace(row, place)] =
              accumulates ? stored[storedPlace(row, place)] + product : product
            expectedSums[place] += g * scaled[row * scaledStep + place]
          }
        }
        expectSame(values, expectedValues, variant)
        expectSame(factorSums, expectedSums, variant)
        expectSame(products, scaled, variant)
      }
    }
  }

  @Test("parts are added up in their order", arguments: counts)
  func parts(count: Int) {
    for number in 1...4 {
      let parts = random(number * (count + 3), 5)
      for variant in Self.variants {
        var found = [Float](repeating: 7, count: count)
        glow_add_parts(parts, number, count + 3, &found, count, variant)
        expectSame(
          found,
          (0..<count).map { index in
            (1..<number).reduce(parts[index]) { $0 + parts[$1 * (count + 3) + index] }
          },
          variant)
      }
    }
  }

  @Test("exponentials and sigmoids, of extremes too", arguments: counts)
  func exponentials(count: Int) {
    var values = random(count, 4).map { $0 * 40 }
    for (index, value) in [Float.infinity, -.infinity, .nan, 0, -0.0, -71, 88].enumerated()
    where index < count { values[count - 1 - index] = value }
    for variant in Self.variants {
      var found = values
      glow_exponentials(&found, -1, count, variant)
      expectSame(found, values.map { Float.exp(SIMD8(repeating: $0 * -1))[0] }, variant)

      found = values
      var (negative, product) = ([Float](repeating: 7, count: 8), [Float](repeating: 7, count: 8))
      glow_sigmoids(&found, -69, count, &negative, &product, variant)
      let arguments = values.map { Float.maximum(SIMD8(repeating: $0 + 2), -69) }
      expectSame(found, arguments.map { Float.sigmoid($0).value[0] }, variant)
      var (below, factors) = ([Float](repeating: 0, count: 8), [Float](repeating: 1, count: 8))
      for (index, x) in arguments.enumerated() {
        below[index % 8] += Float.positivePart(SIMD8(repeating: 0) - x)[0]
        factors[index % 8] *= Float.sigmoid(x).onePlusExponential[0]
      }
      expectSame(negative, below, variant)
      expectSame(product, factors, variant)
    }
  }

  @Test("couplings, on rows with gaps", arguments: [1, 2, 3, 6, 7, 8, 12, 24])
  func couplings(channels: Int) {
    let (rows, stride) = (5, channels + 3)
    let (z, shift) = (random(rows * stride, 5), random(rows * channels, 6))
    let (scale, y) = (random(rows * channels, 7).map { abs($0) }, random(rows * stride, 8))
    func map(_ body: (_ z: Float, _ place: Int) -> Float) -> [Float] {
      z.indices.map { index in
        let (row, channel) = index.quotientAndRemainder(dividingBy: stride)
        return channel < channels ? body(z[index], row * channels + channel) : z[index]
      }
    }
    func run(_ values: inout [Float], _ body: (glow_rows) -> Void) {
      values.withUnsafeMutableBufferPointer {
        body(glow_rows(values: $0.baseAddress!, rows: rows, columns: channels, stride: stride))
      }
    }
    for variant in Self.variants {
      var found = z
      run(&found) { glow_shift_and_scale($0, shift, scale, variant) }
      expectSame(found, map { ($0 + shift[$1]) * scale[$1] }, variant)
      found = z
      run(&found) { glow_undo_shift_and_scale($0, shift, scale, variant) }
      expectSame(found, map { $0 / scale[$1] - shift[$1] }, variant)

      found = z
      var (outputs, whole) = ([Float](repeating: 5, count: rows * 2 * channels), y)
      run(&found) { dy in
        run(&whole) { y in
          outputs.withUnsafeMutableBufferPointer {
            let outputs = glow_rows(
              values: $0.baseAddress!, rows: rows, columns: 2 * channels, stride: 2 * channels)
            glow_affine_backward(dy, y, scale, 0.5, 0.25, outputs, variant)
          }
        }
      }
      expectSame(found, map { $0 * scale[$1] }, variant)
      for row in 0..<rows {
        for channel in 0..<channels {
          let (place, s) = (row * stride + channel, scale[row * channels + channel])
          #expect(outputs[row * 2 * channels + channel] == z[place] * s)
          let slope = s > 0.5 ? 1 - s : 0
          #expect(outputs[(row * 2 + 1) * channels + channel] == (z[place] * y[place] + 0.25) * slope)
        }
      }
    }
  }

  @Test("updates and squares", arguments: [true, false], [1, 8, 37])
  func updates(isAdamax: Bool, count: Int) {
    let start = (0..<5).map { random(count, 10 + UInt64($0)) }
    let doubles = start.map { $0.map(Double.init) }
    for variant in Self.variants {
      var (w, m, v, average) = (start[0], start[1], start[2].map { $0 * $0 }, start[4])
      var (expectedW, expectedM, expectedV, expectedAverage) = (w, m, v, average)
      for index in 0..<count {
        let g = start[3][index] * 0.5
        expectedM[index] = 0.9 * m[index] + 0.1 * g
        expectedV[index] = isAdamax ? max(0.99 * v[index], abs(g)) : 0.99 * v[index] + 0.01 * g * g
        let size = isAdamax ? expectedV[index] : expectedV[index].squareRoot()
        expectedW[index] = 0.96875 * w[index] - 0.001 * expectedM[index] / (size + 1e-8)
        expectedAverage[index] = 0.75 * average[index] + 0.25 * expectedW[index]
      }
      w.withUnsafeMutableBufferPointer { w in
        m.withUnsafeMutableBufferPointer { m in
          v.withUnsafeMutableBufferPointer { v in
            average.withUnsafeMutableBufferPointer { average in
              start[3].withUnsafeBufferPointer { g in
                var update = glow_update(
                  values: w.baseAddress!, gradients: g.baseAddress!, first: m.baseAddress!,
                  second: v.baseAddress!, average: average.baseAddress!, scale: 0.5, keep_first: 0.9,
                  take_first: 0.1, keep_second: 0.99, take_second: 0.01, rate: 0.001, epsilon: 1e-8,
                  keep_value: 0.96875, keep_average: 0.75, take_average: 0.25)
                let function = isAdamax ? glow_adamax : glow_adam
                // In two parts, the second of which begins in the middle of a vector.
                function(&update, 0, count / 3, variant)
                function(&update, count / 3, count - count / 3, variant)
              }
            }
          }
        }
      }
      expectSame(w, expectedW, variant)
      expectSame(m, expectedM, variant)
      expectSame(v, expectedV, variant)
      expectSame(average, expectedAverage, variant)

      var sums = [Double](repeating: 1, count: 8)
      glow_add_squares(start[0], count / 8, &sums, variant)
      let expected = (0..<8).map { lane in
        stride(from: lane, to: count / 8 * 8, by: 8).reduce(1) { $0 + doubles[0][$1] * doubles[0][$1] }
      }
      #expect(sums == expected)
    }
  }

  @Test(
    "neighborhoods, in bands and batch-interleaved", arguments: [1, 2, 3, 6, 8, 12, 26],
    [(5, 4, 0, 5), (5, 4, 0, 2), (6, 3, 2, 3), (4, 4, 3, 1), (1, 1, 0, 1), (2, 1, 0, 2), (1, 3, 0, 1)])
  func neighborhoods(channels: Int, sizes: (height: Int, width: Int, first: Int, rows: Int)) {
    let (height, width) = (sizes.height, sizes.width)
    let (step, stride) = (channels % 2 + 1, channels + 2)
    let area = Band(height: height, width: width, firstRow: sizes.first, rows: sizes.rows)
    let positions = sizes.rows * width
    let picture = random(height * width * stride, 20)
    var patches = random(height * width * step * 9 * channels, 21)
    let bias = random(borderClassCount * channels, 22)
    let start = random(positions * stride, 23)
    // The slow obvious way.
    var expectedSums = [Float](repeating: .nan, count: area.borderedCount(channels: channels))
    patches.withUnsafeMutableBufferPointer {
      let rows = Matrix(
        $0.baseAddress!, rows: height * width, columns: 9 * channels, stride: step * 9 * channels)
      scatterPatches(PatchRows(rows, channels: channels, band: area), bordered: &expectedSums)
    }
    func expectedSum(_ row: Int, _ column: Int, _ channel: Int) -> Float {
      expectedSums[((row + 1) * (width + 2) + column + 1) * channels + channel]
    }
    var band = glow_band(
      height: height, width: width, first_row: sizes.first, rows: sizes.rows, channels: channels,
      row_step: step)
    let planes = channels % 2 == 0 ? 2 : 1
    for variant in Self.variants {
      var scratch = [Float](repeating: .nan, count: area.borderedCount(channels: channels))
      var gathered = [Float](repeating: 7, count: positions * step * 9 * channels)
      glow_border(&band, picture, stride, &scratch, variant)
      glow_gather_patches(&band, scratch, &gathered, variant)
      var collected = [Float](repeating: .nan, count: positions * channels)
      glow_collect_patches(&band, patches, bias, planes, &scratch, &collected, variant)
      var added = start
      glow_add_patches(&band, patches, &added, stride, variant)
      var isRight = true
      for row in 0..<sizes.rows {
        for column in 0..<width {
          let position = row * width + column
          let borderClass = area.borderClass(row: sizes.first + row, column: column)
          for channel in 0..<channels {
            let sum = expectedSum(row, column, channel)
            let (plane, place) = channel.quotientAndRemainder(dividingBy: channels / planes)
            isRight =
              isRight
              && collected[(plane * positions + position) * (channels / planes) + place]
                == sum + bias[borderClass * channels + channel]
              && added[position * stride + channel] == start[position * stride + channel] + sum
            for tap in 0..<9 {
              let (y, x) = (sizes.first + row + tap / 3 - 1, column + tap % 3 - 1)
              let isInside = (0..<height).contains(y) && (0..<width).contains(x)
              let found = gathered[(position * step * 9 + tap) * channels + channel]
              isRight =
                isRight && found == (isInside ? picture[(y * width + x) * stride + channel] : 0)
            }
          }
          // What belongs to other pictures, or to none.
          if step == 2 {
            let others = (position * step + 1) * 9 * channels
            isRight = isRight && gathered[others..<others + 9 * channels].allSatisfy { $0 == 7 }
          }
          for gap in channels..<stride {
            isRight = isRight && added[position * stride + gap] == start[position * stride + gap]
          }
        }
      }
      #expect(isRight, "instructions \(variant.rawValue)")
    }
  }
}
