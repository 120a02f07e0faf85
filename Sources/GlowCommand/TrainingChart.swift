import ArgumentParser
import Foundation
import GlowPlots
import GlowTraining

/// Bits/dim, learning rate and speed of one or several runs, against the images seen or the time.
struct TrainingChart {
  enum Axis: String, CaseIterable {
    case images, hours
    case coreHours = "core-hours"

    var title: String {
      switch self {
      case .images: "images seen"
      case .hours, .coreHours: rawValue
      }
    }
  }

  /// Axes such as "images,hours", each of its own panel.
  struct Axes: ExpressibleByArgument {
    let values: [Axis]

    init?(argument: String) {
      let values = argument.split(separator: ",", omittingEmptySubsequences: false).map {
        Axis(rawValue: String($0))
      }
      if values.contains(nil) || Set(values).count < values.count { return nil }
      self.values = values.map { $0! }
    }
  }

  struct Run {
    /// Several of one name share a color and a key.
    let name: String
    let history: TrainingHistory
    /// Of the run, whose seconds are those of a clock.
    let threads: Int
  }

  let runs: [Run]
  var axis = Axis.images
  /// Whether equal distances to the right are equal factors.
  var isLogarithmic = false

  /// The first values, far above the rest, may leave the chart; this is their share of the axis.
  private static let beginning = 0.02

  /// In order, each once.
  private var names: [String] { runs.map(\.name).reduce(into: []) { if !$0.contains($1) { $0.append($1) } } }

  private func color(_ index: Int) -> Color {
    Color.palette[names.firstIndex(of: runs[index].name)! % Color.palette.count]
  }

  /// What there is to show, one chart below the other.
  ///
  /// - Throws: `DrawingError` if that is nothing.
  func column() throws -> ChartColumn {
    let rate = chart("learning rate", \.learningRate)
    let speed = chart("images/s", \.imagesPerSecond)
    var charts = [bitsPerDimension, batchLoss, rate, speed].filter { chart in
      chart.series.contains { !$0.points.isEmpty }
    }
    if charts.isEmpty {
      throw DrawingError(
        "\(names.joined(separator: ", ")): nothing is logged that can be drawn"
      )
    }
    let places = charts.flatMap(\.series).flatMap(\.points).map(\.x)
    let first = isLogarithmic ? places.filter { $0 > 0 }.min() ?? 0 : 0
    let last = places.max() ?? 0
    for index in charts.indices {
      charts[index].horizontalRange =
        isLogarithmic ? first / 1.04...last * 1.04 : 0...(last > 0 ? last * 1.01 : 1)
      charts[index].hasLogarithmicHorizontalAxis = isLogarithmic
      charts[index].horizontalTitle = index == charts.count - 1 ? axis.title : ""
    }
    return ChartColumn(charts, heights: charts.indices.map { $0 == 0 ? 1.8 : 1 })
  }

  private var bitsPerDimension: LineChart {
    let isAlone = runs.count == 1
    var series: [LineChart.Series] = []
    var keyed: Set<String> = []
    // The first curve of a name has the key.
    func key(_ name: String) -> String { keyed.insert(name).inserted ? name : "" }
    for (index, run) in runs.enumerated() {
      let (train, test) = (run.history.trainBitsPerDimension, run.history.testBitsPerDimension)
      let color = color(index)
      if !train.isEmpty {
        // The legend has one key a run: that of the test curve where there is one.
        let name = isAlone ? "train" : test.isEmpty ? key(run.name) : ""
        series.append(.init(name, points(train, of: run), color: color, look: .faintLine))
      }
      if !test.isEmpty {
        series.append(
          .init(
            isAlone ? "test" : key(run.name), points(test, of: run),
            color: isAlone ? Color.palette[1] : color,
            look: .markedLine))
      }
    }
    let (hasTrain, hasTest) = (
      runs.contains { !$0.history.trainBitsPerDimension.isEmpty },
      runs.contains { !$0.history.testBitsPerDimension.isEmpty }
    )
    let title =
      isAlone || !hasTest
      ? "bits/dim" : hasTrain ? "bits/dim (train thin, test with points)" : "test bits/dim"
    var chart = LineChart(horizontalTitle: "", verticalTitle: title, series: series)
    if isAlone { chart.title = runs[0].name }
    chart.verticalRange = range(series.flatMap(\.points))
    return chart
  }

  /// What models that normalize by the batch minimize: no bits/dim, as images of a batch depend on each other.
  private var batchLoss: LineChart {
    // The chart above has a key for each name that it shows.
    var keyed = Set(runs.filter { !$0.history.testBitsPerDimension.isEmpty }.map(\.name))
    var chart = LineChart(
      horizontalTitle: "", verticalTitle: "loss (statistics of the batch)",
      series: runs.enumerated().map { index, run in
        LineChart.Series(
          keyed.insert(run.name).inserted ? run.name : "", points(run.history.batchLoss, of: run),
          color: color(index), look: .faintLine)
      })
    chart.verticalRange = range(chart.series.flatMap(\.points))
    return chart
  }

  /// The values but for those of the beginning.
  private func range(_ points: [Point]) -> ClosedRange<Double>? {
    let last = points.map(\.x).max() ?? 0
    let first = isLogarithmic ? points.map(\.x).filter { $0 > 0 }.min() ?? last : 0
    let end =
      isLogarithmic
      ? first * pow(last / first, TrainingChart.beginning) : last * TrainingChart.beginning
    let late = points.filter { $0.x > end && $0.y.isFinite }.map(\.y)
    guard let lowest = late.min(), let highest = late.max(), highest > lowest else { return nil }
    let room = (highest - lowest) * 0.05
    return lowest - room...highest + room
  }

  /// A quantity that is not negative, from 0.
  private func chart(
    _ title: String, _ values: KeyPath<TrainingHistory, [TrainingHistory.Value]>
  ) -> LineChart {
    var chart = LineChart(
      horizontalTitle: "", verticalTitle: title,
      series: runs.enumerated().map { index, run in
        .init("", points(run.history[keyPath: values], of: run), color: color(index))
      })
    let highest = chart.series.flatMap(\.points).map(\.y).max() ?? 0
    if highest > 0 { chart.verticalRange = 0...highest * 1.08 }
    return chart
  }

  private func points(_ values: [TrainingHistory.Value], of run: Run) -> [Point] {
    values.map { value in
      switch axis {
      case .images: Point(Double(value.images), value.value)
      case .hours: Point(value.seconds / 3600, value.value)
      case .coreHours: Point(value.seconds * Double(run.threads) / 3600, value.value)
      }
    }
  }
}
