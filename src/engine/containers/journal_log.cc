#include "engine/containers/journal_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>

#include "engine/containers/journal_record.h"
#include "engine/model/times.h"
#include "linux/spawn.h"

namespace berth::engine {

namespace {

using std::chrono::steady_clock;

// The shim has sent everything when a container counts as ended; this is journald's and
// journalctl's time to pass the last lines on.
constexpr std::chrono::milliseconds kLastLines{1000};

std::string find_journalctl() {
    for (const char* path : {"/usr/bin/journalctl", "/bin/journalctl"})
        if (access(path, X_OK) == 0) return path;
    throw Error(ErrorKind::unsupported,
                "logs of the driver journald cannot be read: journalctl is not installed");
}

/// A journalctl that writes into a pipe; killed and reaped with this object.
class Journalctl final {
  public:
    explicit Journalctl(const std::vector<std::string>& arguments) {
        Pipe pipe = Pipe::make();
        linux_os::SpawnRequest request;
        request.program = find_journalctl();
        request.arguments = arguments;
        request.environment = linux_os::current_environment();
        request.fds = {{pipe.write.borrow(), 1}};
        request.death_signal = SIGKILL;
        child_ = linux_os::spawn(request);
        output_ = std::move(pipe.read);
        if (fcntl(output_.get(), F_SETFL, O_NONBLOCK) < 0) throw_errno("reading from journalctl");
    }
    ~Journalctl() {
        try {
            (void)child_.signal(SIGKILL);
            child_.reap();
        } catch (const Error&) {
            return;  // it is gone
        }
    }
    Journalctl(const Journalctl&) = delete;
    Journalctl& operator=(const Journalctl&) = delete;

    BorrowedFd output() const { return output_; }

  private:
    linux_os::PidFd child_;
    UniqueFd output_;
};

class JournalLogStream final : public LogStream {
  public:
    JournalLogStream(ContainerPtr container, const LogSelection& selection, Follow follow)
        : container_(std::move(container)),
          selection_(selection),
          follow_(follow),
          journalctl_(journalctl_arguments(container_->record.id, selection, follow)) {}

    StreamKind kind() const override { return selection_.kind; }

    async::Task<std::optional<std::string>> next() override {
        // The last moment at which the container lived or something came.
        SteadyTime quiet_since = steady_clock::now();
        char buffer[32 << 10];
        while (!ended_) {
            const ssize_t count = read(journalctl_.output().get(), buffer, sizeof buffer);
            if (count > 0) {
                parser_.feed({buffer, static_cast<std::size_t>(count)});
                quiet_since = steady_clock::now();
                std::string bytes = take_entries();
                if (!bytes.empty()) co_return bytes;
                continue;
            }
            if (count == 0 || (errno != EAGAIN && errno != EINTR)) break;
            const bool live = container_->record.state.is_running() && !container_->removed;
            const bool late = selection_.until.ns != 0 && Timestamp::now().ns > selection_.until.ns;
            const bool over = follow_ == Follow::yes && (!live || late);
            if (over && steady_clock::now() - quiet_since >= kLastLines) break;
            SteadyTime deadline = SteadyTime::max();
            if (over)
                deadline = quiet_since + kLastLines;
            else if (follow_ == Follow::yes)
                deadline = model::steady_time_past(selection_.until);
            co_await container_->changed.wait_or_readable(journalctl_.output(), deadline);
            if (!over) quiet_since = steady_clock::now();
        }
        ended_ = true;
        co_return std::nullopt;
    }

  private:
    std::string take_entries() {
        std::string bytes;
        while (const auto entry = parser_.next()) {
            const LogRecord record = record_of(*entry);
            if (selection_.until.ns != 0 && record.at > selection_.until) {
                ended_ = true;
                break;
            }
            bytes += render(record, selection_);
        }
        return bytes;
    }

    ContainerPtr container_;
    LogSelection selection_;
    Follow follow_;
    Journalctl journalctl_;
    JournalParser parser_;
    bool ended_ = false;
};

}  // namespace

std::vector<std::string> journalctl_arguments(const std::string& id, const LogSelection& selection,
                                              Follow follow) {
    std::vector<std::string> arguments{"journalctl", "--quiet", "--no-pager", "--output=export",
                                       "--all"};
    if (follow == Follow::yes) arguments.emplace_back("--follow");
    // Docker counts the lines first and looks at their times then.
    if (selection.tail) {
        arguments.push_back(fmt::format("--lines={}", *selection.tail));
    } else {
        if (follow == Follow::yes) arguments.emplace_back("--no-tail");
        if (selection.since.ns != 0)
            arguments.push_back(fmt::format("--since=@{}", selection.since.seconds()));
    }
    arguments.push_back("CONTAINER_ID_FULL=" + id);
    return arguments;
}

std::unique_ptr<LogStream> open_journal_log(const ContainerPtr& container,
                                            const LogSelection& selection, Follow follow) {
    return std::make_unique<JournalLogStream>(container, selection, follow);
}

}  // namespace berth::engine
