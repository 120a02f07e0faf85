import Glibc
import GlowFiles
import GlowKernels
import Synchronization

/// What the signals do that ask a process to end: they end it, with the exit status 128 + the signal's number, and what
/// it was writing is removed. A job may ask to be told of the first one instead, to end at its next good place; a SIGINT
/// then ends the process, and a SIGTERM some time after another. The others come again by themselves (SIGXCPU every
/// second, SIGHUP from both the terminal and the shell), and count once; so does SIGTERM, which batch systems send twice.
///
/// A thread of its own does it, whatever the others do; the handler, which may do next to nothing, wakes it.
package enum Interruption {
  /// From people, terminals that close (SIGHUP), schedulers, which choose among SIGTERM, SIGUSR1 and SIGUSR2, limits of
  /// processor time (SIGXCPU) and timers (SIGALRM).
  private static let signals = [SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU, SIGALRM]
  /// What a job says when a signal ends it.
  nonisolated(unsafe) package static var message: @Sendable (_ signal: Int32) -> String = {
    "interrupted by signal \($0): what was being written is not kept"
  }

  /// Whether nothing is said, because another process of the job says it.
  nonisolated(unsafe) package static var isSilent = false

  private static let received = Atomic<Int32>(0)
  private static let latest = Atomic<Int32>(0)
  private static let isHeeded = Atomic<Bool>(false)
  nonisolated(unsafe) private static let arrival = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

  /// Catches the signals from now on. Called once.
  package static func install() {
    // A file-size limit, and a pipe that nobody reads any more, then show as errors of write.
    for signal in [SIGXFSZ, SIGPIPE] { _ = Glibc.signal(signal, SIG_IGN) }
    sem_init(arrival, 0, 0)
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setstacksize(&attributes, 256 << 10)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    var thread = pthread_t()
    // Without a thread the signals end the process as they do by default.
    if pthread_create(&thread, &attributes, { _ in Interruption.listen() }, nil) != 0 { return }
    var caught = sigset_t()
    sigemptyset(&caught)
    for signal in signals where !(signal == SIGHUP && isIgnored(SIGHUP)) {
      sigaddset(&caught, signal)
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { signal in
        Interruption.latest.store(signal, ordering: .relaxed)
        sem_post(Interruption.arrival)
      }
      action.sa_flags = SA_RESTART
      sigaction(signal, &action, nil)
    }
    // A launcher may have started this process with its own signals blocked.
    pthread_sigmask(SIG_UNBLOCK, &caught, nil)
    leaveTimeToSave()
  }

  /// At a hard limit of processor time Linux kills, without the SIGXCPU of the soft one, and some shells set both to the
  /// same. The soft one is then lowered by 2 s for each processor, of a short limit by half.
  private static func leaveTimeToSave() {
    var limit = rlimit()
    let resource = __rlimit_resource_t(RLIMIT_CPU.rawValue)
    guard getrlimit(resource, &limit) == 0, limit.rlim_cur == limit.rlim_max, limit.rlim_max < rlim_t(Int.max)
    else { return }
    limit.rlim_cur -= min(rlim_t(2 * ThreadTeam.grantedCount), limit.rlim_max / 2)
    setrlimit(resource, &limit)
  }

  /// As `nohup` has it for SIGHUP.
  private static func isIgnored(_ signal: Int32) -> Bool {
    var present = sigaction()
    sigaction(signal, nil, &present)
    return unsafeBitCast(present.__sigaction_handler.sa_handler, to: Int.self)
      == unsafeBitCast(SIG_IGN, to: Int.self)
  }

  /// A SIGTERM that comes sooner after the first one asks for nothing more than that did.
  private static let repetition = Duration.seconds(10)

  private static func listen() -> Never {
    var (isFirst, terminated) = (true, ContinuousClock.Instant?.none)
    while true {
      if sem_wait(arrival) != 0 { continue }
      let signal = latest.load(ordering: .relaxed)
      _ = received.compareExchange(expected: 0, desired: signal, ordering: .relaxed)
      // Whether it does not wait for a good place to end.
      let isUrgent =
        switch signal {
        case SIGINT: !isFirst
        case SIGTERM: terminated.map { $0.duration(to: .now) > repetition } ?? false
        default: false
        }
      isFirst = false
      if signal == SIGTERM { terminated = terminated ?? .now }
      if isHeeded.load(ordering: .relaxed) && !isUrgent { continue }
      var message = message(signal) + "\n"
      // Where nobody reads it, the message must not keep the process.
      var stream = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
      if !isSilent && poll(&stream, 1, 0) == 1 {
        message.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
      }
      Unfinished.endProcess(128 + signal)
    }
  }

  /// The caller looks at `signal` from now on, and ends soon after it is one.
  package static func heed() { isHeeded.store(true, ordering: .relaxed) }

  /// The signal that asked to end, if any.
  package static var signal: Int32? {
    let value = received.load(ordering: .relaxed)
    return value == 0 ? nil : value
  }
}
