import Glibc
import Synchronization

/// Ends a job that a signal asked to end, when thrown through it.
public struct InterruptedError: Error {
  public let signal: Int32
}

/// Asks a long job to end at the next good place when the process is sent SIGINT, SIGTERM or SIGUSR1.
public enum Interruption {
  private static let received = Atomic<Int32>(0)

  /// Catches the signals from now on. A second one, of whatever kind, ends the process at once, with the exit
  /// status 128 + its number.
  public static func install() {
    // Touched here so that the handler finds it made.
    received.store(0, ordering: .relaxed)
    var caught = sigset_t()
    sigemptyset(&caught)
    for signal in [SIGINT, SIGTERM, SIGUSR1] {
      sigaddset(&caught, signal)
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { signal in
        if Interruption.received.exchange(signal, ordering: .relaxed) != 0 { _exit(128 + signal) }
      }
      action.sa_flags = SA_RESTART
      sigaction(signal, &action, nil)
    }
    // A launcher may have started this process with its own signals blocked.
    pthread_sigmask(SIG_UNBLOCK, &caught, nil)
    // A file-size limit, and a pipe that nobody reads any more, then show as errors of write.
    for signal in [SIGXFSZ, SIGPIPE] { _ = Glibc.signal(signal, SIG_IGN) }
  }

  /// The signal that asked to end, if any.
  public static var signal: Int32? {
    let value = received.load(ordering: .relaxed)
    return value == 0 ? nil : value
  }

  /// - Throws: `InterruptedError` if a signal asked to end.
  public static func check() throws {
    if let signal { throw InterruptedError(signal: signal) }
  }
}
