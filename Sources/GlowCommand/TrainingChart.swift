import ArgumentParser
import GlowPlots
import GlowTraining

/// Bits/dim, learning rate and speed of one or several runs, against the images seen or the time.
struct TrainingChart {
  enum Axis: String, CaseIterable, ExpressibleByArgument {
    case images, hours

    var title: String {
      switch self {
      case .images: "images seen"
      case .hours: "hours"
      }
    }
  }

  struct Run {
    let name: String
    let history: TrainingHistory
  }

  let runs: [Run]
  var axis = Axis.images

  /// The first values, far above the rest, may leave the chart; this is their share of the axis.
  private static let beginning = 0.02

  /// What there is to show, one chart below the other.
  ///
  /// - Throws: `DrawingError` if that is nothing.
  func column() throws -> ChartColumn {
    let rate = chart("learning rate", runs.map(\.history.learningRate))
    let speed = chart("images/s", runs.map(\.history.imagesPerSecond))
    var charts = [bitsPerDimension, rate, speed].filter { chart in
      chart.series.contains { !$0.points.isEmpty }
    }
    if charts.isEmpty {
      throw DrawingError("\(runs.map(\.name).joined(separator: ", ")): nothing is logged that can be drawn")
    }
    let last = charts.flatMap(\.series).flatMap(\.points).map(\.x).max() ?? 0
    for index in charts.indices {
      charts[index].horizontalRange = 0...(last > 0 ? last * 1.01 : 1)
      charts[index].horizontalTitle = index == charts.count - 1 ? axis.title : ""
    }
    return ChartColumn(charts, heights: charts.indices.map { $0 == 0 ? 1.8 : 1 })
  }

  private var bitsPerDimension: LineChart {
    let isAlone = runs.count == 1
    var series: [LineChart.Series] = []
    for (index, run) in runs.enumerated() {
      let (train, test) = (run.history.trainBitsPerDimension, run.history.testBitsPerDimension)
      let color = Color.palette[index % Color.palette.count]
      if !train.isEmpty {
        // The legend has one key a run: that of the test curve where there is one.
        let name = isAlone ? "train" : test.isEmpty ? run.name : ""
        series.append(.init(name, points(train), color: color, look: .faintLine))
      }
      if !test.isEmpty {
        series.append(
          .init(
            isAlone ? "test" : run.name, points(test), color: isAlone ? Color.palette[1] : color,
            look: .markedLine))
      }
    }
    var chart = LineChart(
      horizontalTitle: "", verticalTitle: isAlone ? "bits/dim" : "bits/dim (train thin, test dotted)",
      series: series)
    if isAlone { chart.title = runs[0].name }
    chart.verticalRange = range(series.flatMap(\.points))
    return chart
  }

  /// The values but for those of the beginning.
  private func range(_ points: [Point]) -> ClosedRange<Double>? {
    let end = (points.map(\.x).max() ?? 0) * TrainingChart.beginning
    let late = points.filter { $0.x > end && $0.y.isFinite }.map(\.y)
    guard let lowest = late.min(), let highest = late.max(), highest > lowest else { return nil }
    let room = (highest - lowest) * 0.05
    return lowest - room...highest + room
  }

  /// A quantity that is not negative, from 0.
  private func chart(_ title: String, _ values: [[TrainingHistory.Value]]) -> LineChart {
    var chart = LineChart(
      horizontalTitle: "", verticalTitle: title, series: values.map { .init("", points($0)) })
    let highest = values.joined().map(\.value).max() ?? 0
    if highest > 0 { chart.verticalRange = 0...highest * 1.08 }
    return chart
  }

  private func points(_ values: [TrainingHistory.Value]) -> [Point] {
    values.map { value in
      switch axis {
      case .images: Point(Double(value.images), value.value)
      case .hours: Point(value.seconds / 3600, value.value)
      }
    }
  }
}
