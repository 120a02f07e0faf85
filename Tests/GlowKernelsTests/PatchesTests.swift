import GlowKernels
import Testing

/// Every fast kernel beside a slow obvious one. Outputs are filled with rubbish first, so that a cell that is not
/// written shows.
@Suite("Neighborhoods of 3×3 convolutions")
struct PatchesTests {
  private func random(_ count: Int, _ stream: UInt64) -> [Double] {
    var values = [Double](repeating: 0, count: count)
    values.withUnsafeMutableBufferPointer {
      Philox(seed: 5, purpose: .latents, stream: stream).fillNormal($0)
    }
    return values
  }

  @Test(
    "im2col writes its rows and nothing else", arguments: [1, 2, 3, 8, 13], [(0, 5), (0, 2), (2, 3), (4, 1)])
  func gather(channels: Int, rows: (first: Int, count: Int)) {
    let (height, width, stride) = (5, 4, channels + 3)
    let picture = random(height * width * stride, 1)
    let band = Band(height: height, width: width, firstRow: rows.first, rows: rows.count)
    var bordered = [Double](repeating: .nan, count: band.borderedCount(channels: channels))
    let step = channels % 2 == 0 ? 1 : 3
    var patches = [Double](repeating: .nan, count: rows.count * width * step * 9 * channels)
    border(picture, stride: stride, channels: channels, band: band, into: &bordered)
    gatherPatches(bordered, channels: channels, band: band, into: &patches, rowStep: step)
    #expect(patches.count { !$0.isNaN } == rows.count * width * 9 * channels)
    for row in 0..<rows.count {
      for column in 0..<width {
        for dy in 0..<3 {
          for dx in 0..<3 {
            for channel in 0..<channels {
              let (y, x) = (rows.first + row + dy - 1, column + dx - 1)
              let isInside = (0..<height).contains(y) && (0..<width).contains(x)
              let expected = isInside ? picture[(y * width + x) * stride + channel] : 0
              let found = patches[((row * width + column) * step * 9 + dy * 3 + dx) * channels + channel]
              #expect(found == expected)
            }
          }
        }
      }
    }
  }

  @Test("col2im is the adjoint of im2col", arguments: [1, 2, 3, 8, 13])
  func adjoint(channels: Int) {
    let (height, width) = (5, 4)
    let band = Band(height: height, width: width, firstRow: 0, rows: height)
    let picture = random(height * width * channels, 2)
    let patches = random(height * width * 9 * channels, 3)
    var bordered = [Double](repeating: .nan, count: band.borderedCount(channels: channels))
    var gathered = [Double](repeating: .nan, count: patches.count)
    border(picture, stride: channels, channels: channels, band: band, into: &bordered)
    gatherPatches(bordered, channels: channels, band: band, into: &gathered, rowStep: 1)
    var scattered = [Double](repeating: 0, count: picture.count)
    var rows = patches
    rows.withUnsafeMutableBufferPointer {
      let rows = Matrix($0.baseAddress!, rows: height * width, columns: 9 * channels)
      addPatches(
        PatchRows(rows, channels: channels, band: band), to: &scattered, stride: channels, bordered: &bordered
      )
    }
    let left = zip(gathered, patches).reduce(0) { $0 + $1.0 * $1.1 }
    let right = zip(picture, scattered).reduce(0) { $0 + $1.0 * $1.1 }
    #expect(abs(left - right) < 1e-12 * max(1, abs(left)))
  }

  @Test("col2im in bands is col2im of the whole picture, also of batch-interleaved rows")
  func bands() {
    let (height, width, channels) = (6, 3, 5)
    let patches = random(height * width * 9 * channels, 4)
    var inTurns = random(2 * patches.count, 5)
    for row in 0..<height * width {
      for index in 0..<9 * channels {
        inTurns[row * 18 * channels + index] = patches[row * 9 * channels + index]
      }
    }
    func scatter(_ firstRow: Int, _ rows: Int) -> [Double] {
      let band = Band(height: height, width: width, firstRow: firstRow, rows: rows)
      var bordered = [Double](repeating: .nan, count: band.borderedCount(channels: channels))
      var result = [Double](repeating: 0, count: rows * width * channels)
      let step = rows < height ? 2 : 1
      var values = step == 2 ? inTurns : patches
      values.withUnsafeMutableBufferPointer {
        let matrix = Matrix(
          $0.baseAddress!, rows: height * width, columns: 9 * channels, stride: step * 9 * channels)
        addPatches(
          PatchRows(matrix, channels: channels, band: band), to: &result, stride: channels,
          bordered: &bordered)
      }
      return result
    }
    let whole = scatter(0, 6)
    let parts = scatter(0, 1) + scatter(1, 3) + scatter(4, 2)
    #expect(zip(whole, parts).allSatisfy { abs($0 - $1) < 1e-13 } && whole.count == parts.count)
  }
}
