#include "cli/session.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <array>

#include "base/error.h"
#include "base/file.h"
#include "base/frames.h"

namespace berth::cli {
namespace {

constexpr std::size_t kBuffer = 64U << 10;
constexpr int kErrorStream = 3;  // "daemon error inside the stream"

// Raw mode for the time of a session.
class RawTerminal final {
  public:
    explicit RawTerminal(Input input) {
        if (input == Input::none || !stdin_is_terminal()) return;
        if (::tcgetattr(STDIN_FILENO, &before_) < 0) return;
        termios raw = before_;
        ::cfmakeraw(&raw);
        active_ = ::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
    }
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;
    ~RawTerminal() {
        if (active_) ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
    }

  private:
    termios before_{};
    bool active_ = false;
};

// Signals of the session arrive through a descriptor; the mask is put back at the end.
class SessionSignals final {
  public:
    SessionSignals() {
        sigset_t set;
        ::sigemptyset(&set);
        for (const int number : {SIGWINCH, SIGINT, SIGTERM, SIGHUP, SIGQUIT})
            ::sigaddset(&set, number);
        ::sigprocmask(SIG_BLOCK, &set, &before_);
        fd_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    }
    SessionSignals(const SessionSignals&) = delete;
    SessionSignals& operator=(const SessionSignals&) = delete;
    ~SessionSignals() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }

    int fd() const { return fd_.get(); }
    int next() const {
        signalfd_siginfo info{};
        return ::read(fd_.get(), &info, sizeof info) == sizeof info
                   ? static_cast<int>(info.ssi_signo)
                   : 0;
    }

  private:
    UniqueFd fd_;
    sigset_t before_{};
};

void send_size(const SessionHooks& hooks) {
    winsize size{};
    if (hooks.resize && ::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0)
        hooks.resize(size.ws_row, size.ws_col);
}

void write_stream(int stream, std::string_view bytes) {
    if (stream == kErrorStream)
        throw Error(ErrorKind::internal, "error from daemon in stream: {}", bytes);
    write_all(BorrowedFd{stream == 2 ? STDERR_FILENO : STDOUT_FILENO}, bytes);
}

// Standard input to the connection; at its end only our side of the connection closes.
bool forward_input(BorrowedFd connection, std::span<char> buffer) {
    const ssize_t count = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (count > 0) {
        try {
            write_all(connection, {buffer.data(), static_cast<std::size_t>(count)});
            return true;
        } catch (const Error&) {
            return false;  // the process is gone; its last output is still read
        }
    }
    ::shutdown(connection.get(), SHUT_WR);
    return false;
}

}  // namespace

bool stdin_is_terminal() { return ::isatty(STDIN_FILENO) == 1; }

void run_session(http::Upgraded connection, Framing framing, Input input,
                 const SessionHooks& hooks) {
    ::signal(SIGPIPE, SIG_IGN);
    const RawTerminal raw(framing == Framing::raw ? input : Input::none);
    const SessionSignals signals;
    FrameSplitter splitter(write_stream);
    const auto deliver = [&](std::string_view bytes) {
        framing == Framing::raw ? write_stream(1, bytes) : splitter.feed(bytes);
    };
    if (framing == Framing::raw) send_size(hooks);
    deliver(connection.early);
    std::string buffer(kBuffer, '\0');
    bool reading_input = input == Input::forwarded;
    for (;;) {
        std::array<pollfd, 3> fds{pollfd{connection.socket.get(), POLLIN, 0},
                                  pollfd{signals.fd(), POLLIN, 0},
                                  pollfd{reading_input ? STDIN_FILENO : -1, POLLIN, 0}};
        if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR)
            throw_errno("waiting for the session");
        if (fds[1].revents) {
            const int number = signals.next();
            if (number == SIGWINCH) {
                send_size(hooks);
            } else if (number != 0 && hooks.signal) {
                hooks.signal(number);
            }
        }
        if (fds[2].revents) reading_input = forward_input(connection.socket, buffer);
        if (!fds[0].revents) continue;
        const ssize_t count = ::read(connection.socket.get(), buffer.data(), buffer.size());
        if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (count <= 0) return;
        deliver({buffer.data(), static_cast<std::size_t>(count)});
    }
}

}  // namespace berth::cli
