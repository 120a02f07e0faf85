import Glibc
import Synchronization

/// Asks a long job to end at the next good place when the process is sent SIGINT, SIGTERM or SIGUSR1.
public enum Interruption {
  private static let received = Atomic<Int32>(0)

  /// Catches the signals from now on, each once: a second one ends the process at once.
  public static func install() {
    for signal in [SIGINT, SIGTERM, SIGUSR1] {
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { Interruption.received.store($0, ordering: .relaxed) }
      action.sa_flags = Int32(bitPattern: UInt32(SA_RESETHAND)) | SA_RESTART
      sigaction(signal, &action, nil)
    }
    // A file-size limit then shows as an error of write.
    _ = Glibc.signal(SIGXFSZ, SIG_IGN)
  }

  /// The signal that asked to end, if any.
  public static var signal: Int32? {
    let value = received.load(ordering: .relaxed)
    return value == 0 ? nil : value
  }
}
