import Glibc
import GlowFiles

/// What the process does about an error of its own: a line, and no file left half written.
enum Crash {
  static func install() {
    for signal in [SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV] {
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { signal in
        // Whatever comes now ends the process, with a core dump where those are wanted.
        _ = Glibc.signal(signal, SIG_DFL)
        // What follows allocates, for which a broken heap may make it wait for ever.
        _ = Glibc.signal(SIGALRM, SIG_DFL)
        alarm(10)
        Log.say(.error, "glow: an internal error (signal \(signal)); what was being written is not kept")
        Unfinished.removeIfPossible()
        raise(signal)
      }
      action.sa_flags = SA_NODEFER
      sigaction(signal, &action, nil)
    }
  }
}
