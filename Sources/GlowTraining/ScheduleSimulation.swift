import GlowKernels

/// What a pass would take with other numbers of threads, from a record of its pieces on one (`WorkTrace`).
///
/// Each run of the team is gone through as the team does it: a thread takes the first piece for which all is done that it
/// needs, works, and takes another; the run ends with its last piece. Between runs the caller works alone. Pieces
/// take as long as they did on one thread, but no more bytes pass a second than memory lets through: where the pieces at
/// work want more, those that want least get all of it and the rest share what is left evenly.
///
/// What it does not know: caches that threads share, clocks that fall when more cores work, memory of other sockets.
package struct ScheduleSimulation: Sendable {
  package let pass: WorkTrace.Pass
  /// Seconds that it takes to start and end a run of several threads.
  let launch: Double

  /// How the time with a number of threads is made up.
  package struct Prediction: Sendable {
    package let threads: Int
    package let seconds: Double
    /// Those that lose most first.
    package let parts: [Part]
  }

  /// All runs of one name, or what the caller does alone.
  package struct Part: Sendable {
    package let name: String
    package let seconds: Double
    /// Seconds of all its pieces together, on one thread.
    package let work: Double
    /// Of the longest of its runs.
    package let pieces: Int
    /// `work` over the seconds that it would take with any number of threads: how many it can have busy on average.
    package let parallelism: Double
    /// Of the time of all threads in the whole pass, what they are not at work in this part.
    package let loss: Double
  }

  private struct Sum {
    var (seconds, work, shortest, pieces) = (0.0, 0.0, 0.0, 0)
  }

  package init(_ pass: WorkTrace.Pass, launch: Double) { (self.pass, self.launch) = (pass, launch) }

  /// What the caller does alone, by name.
  package static let alone = "one thread alone"

  /// - Parameter bandwidth: bytes a second that memory lets through; nil for any number.
  package func predict(threads: Int, bandwidth: Double? = nil) -> Prediction {
    var sums: [String: Sum] = [:]
    let alone = pass.runs.reduce(pass.after) { $0 + $1.before }
    sums[Self.alone] = Sum(seconds: alone, work: alone, shortest: alone, pieces: 1)
    for run in pass.runs {
      let work = run.pieces.reduce(0) { $0 + $1.seconds }
      var sum = sums[run.part] ?? Sum()
      sum.work += work
      sum.shortest += shortest(run)
      sum.pieces = max(sum.pieces, run.pieces.count)
      if threads == 1 || run.pieces.count < 2 {
        sum.seconds += work
      } else {
        var team = SimulatedTeam(run.pieces, threads: threads, bandwidth: bandwidth)
        sum.seconds += launch + team.seconds()
      }
      sums[run.part] = sum
    }
    let seconds = sums.values.reduce(0) { $0 + $1.seconds }
    let parts = sums.map { name, sum in
      Part(
        name: name, seconds: sum.seconds, work: sum.work, pieces: sum.pieces,
        parallelism: sum.shortest > 0 ? sum.work / sum.shortest : 1,
        loss: (sum.seconds - sum.work / Double(threads)) / seconds)
    }
    return Prediction(
      threads: threads, seconds: seconds, parts: parts.sorted { ($1.loss, $0.name) < ($0.loss, $1.name) })
  }

  /// Seconds that a run takes with a thread for each piece: its longest chain.
  private func shortest(_ run: WorkTrace.Run) -> Double {
    var ends: [Double] = []
    ends.reserveCapacity(run.pieces.count)
    for piece in run.pieces {
      let start = piece.waits.reduce(0.0) { latest, range in max(latest, ends[range].max() ?? 0) }
      ends.append(start + piece.seconds)
    }
    return ends.max() ?? 0
  }

  /// The record of a pass whose pieces take the medians of what they took in several, and which as a whole takes as long as
  /// the fastest: what else the machine does only holds it up.
  ///
  /// - Parameter passes: of the same pieces.
  package static func typical(_ passes: [WorkTrace.Pass]) -> WorkTrace.Pass {
    func seconds(_ pass: WorkTrace.Pass) -> Double {
      pass.runs.reduce(pass.after) { $0 + $1.before + $1.pieces.reduce(0) { $0 + $1.seconds } }
    }
    var typical = passes[0]
    typical.after = median(passes.map(\.after))
    for run in typical.runs.indices {
      typical.runs[run].before = median(passes.map { $0.runs[run].before })
      for piece in typical.runs[run].pieces.indices {
        typical.runs[run].pieces[piece].seconds = median(passes.map { $0.runs[run].pieces[piece].seconds })
      }
    }
    let scale = passes.map(seconds).min()! / seconds(typical)
    typical.after *= scale
    for run in typical.runs.indices {
      typical.runs[run].before *= scale
      for piece in typical.runs[run].pieces.indices { typical.runs[run].pieces[piece].seconds *= scale }
    }
    return typical
  }
}

/// Threads that go through the pieces of one run.
private struct SimulatedTeam {
  private struct Worker {
    let piece: Int
    /// Seconds of work, at full speed.
    var left: Double
    var speed = 1.0
  }

  /// Of what a piece waits for, the first range that has not been found done, and from where on.
  private struct Wait {
    var range = 0
    var place: Int
  }

  private let pieces: [WorkTrace.Piece]
  private let threads: Int
  private let bandwidth: Double?
  private var isDone: [Bool]
  private var isTaken: [Bool]
  private var waits: [Wait]
  /// A piece before which all are taken.
  private var first = 0
  private var working: [Worker] = []

  init(_ pieces: [WorkTrace.Piece], threads: Int, bandwidth: Double?) {
    (self.pieces, self.threads, self.bandwidth) = (pieces, threads, bandwidth)
    isDone = [Bool](repeating: false, count: pieces.count)
    isTaken = isDone
    waits = pieces.map { Wait(place: $0.waits.first?.lowerBound ?? 0) }
  }

  /// From the start of the first piece to the end of the last.
  mutating func seconds() -> Double {
    var seconds = 0.0
    while true {
      while working.count < threads, let piece = firstReady() {
        isTaken[piece] = true
        working.append(Worker(piece: piece, left: pieces[piece].seconds))
      }
      if working.isEmpty { return seconds }
      shareBandwidth()
      let step = working.reduce(Double.infinity) { min($0, $1.left / $1.speed) }
      seconds += step
      for index in working.indices { working[index].left -= step * working[index].speed }
      // What is left of the shortest is a rounding error.
      for worker in working where worker.left <= 1e-12 { isDone[worker.piece] = true }
      working.removeAll { $0.left <= 1e-12 }
    }
  }

  /// Which of several of one rank a thread takes makes no difference here.
  private mutating func firstReady() -> Int? {
    while first < pieces.count && isTaken[first] { first += 1 }
    return (first..<pieces.count).first { !isTaken[$0] && isReady($0) }
  }

  private mutating func isReady(_ piece: Int) -> Bool {
    let ranges = pieces[piece].waits
    while waits[piece].range < ranges.count {
      let end = ranges[waits[piece].range].upperBound
      while waits[piece].place < end, isDone[waits[piece].place] { waits[piece].place += 1 }
      if waits[piece].place < end { return false }
      waits[piece].range += 1
      if waits[piece].range < ranges.count { waits[piece].place = ranges[waits[piece].range].lowerBound }
    }
    return true
  }

  /// Sets the speeds of those at work: no more bytes pass than memory lets through.
  private mutating func shareBandwidth() {
    guard let bandwidth else { return }
    func wish(_ worker: Worker) -> Double {
      let piece = pieces[worker.piece]
      return piece.seconds > 0 ? Double(piece.bytes) / piece.seconds : 0
    }
    if working.reduce(0, { $0 + wish($1) }) <= bandwidth {
      for index in working.indices { working[index].speed = 1 }
      return
    }
    var left = bandwidth
    for (place, index) in working.indices.sorted(by: { wish(working[$0]) < wish(working[$1]) }).enumerated() {
      let wish = wish(working[index])
      let given = min(wish, left / Double(working.count - place))
      left -= given
      working[index].speed = wish > 0 ? given / wish : 1
    }
  }
}
