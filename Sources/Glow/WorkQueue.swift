import Dispatch

/// Where a model works: a thread of its own, so that a pass of minutes holds up no other task.
final class WorkQueue: SerialExecutor {
  private let queue = DispatchQueue(label: "glow")

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
  }

  func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }
}
