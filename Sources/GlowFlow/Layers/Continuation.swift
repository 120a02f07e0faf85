import GlowKernels

/// What enters a level is what the level before has kept: its first channels.
struct Continuation: Layer {
  let name: String
  let title: String

  func stages(_ direction: Direction) -> [Stage] { [.start] }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func forward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    copyRows(site.input.positions.columns(0..<site.output.columns), to: site.output.positions)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func inverse<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    copyRows(site.output.positions, to: site.input.positions.columns(0..<site.output.columns))
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    guard let target = site.inputGradient else { return }
    copyRows(site.gradient!.positions, to: target.positions.columns(0..<site.output.columns))
  }
}

/// Copies rows of the same number of columns, which may lie differently far apart.
@inline(__always)
func copyRows<S: Scalar>(_ source: Matrix<S>, to target: Matrix<S>) {
  for row in 0..<source.rows { target[row].update(from: source[row], count: source.columns) }
}
