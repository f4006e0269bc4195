// berth-engine: takes its configuration and the listening sockets from the supervisor, moves into
// the namespaces while it is single-threaded, then runs the engine and serves the API on one
// thread. SIGTERM stops the containers; the end of the supervisor's channel leaves them running.
#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "api/server.h"
#include "async/message_channel.h"
#include "async/task.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/cgroup_message.h"
#include "daemon/config.h"
#include "daemon/engine_settings.h"
#include "daemon/reload.h"
#include "engine/engine.h"
#include "engine/image/store_check.h"
#include "linux/enter_namespaces.h"
#include "linux/message_socket.h"

namespace {

using namespace berth;
using nlohmann::json;

constexpr std::chrono::seconds kRequestsEnd{2};
constexpr std::chrono::milliseconds kStatusDelay{300};
constexpr std::chrono::milliseconds kRefusalTime{1000};

struct Configure final {
    daemon::Config config;
    engine::CgroupDelegation cgroup;
    std::vector<UniqueFd> listeners;
};

Configure receive_configure(BorrowedFd channel) {
    auto received = linux_os::receive_message(channel);
    if (received.state != linux_os::ReceiveState::message)
        throw Error(ErrorKind::unavailable, "berthd closed the channel before it sent `configure`");
    const json value = parse_json(received.message.text);
    const JsonReader message(value);
    if (message.string("type") != "configure")
        throw Error(ErrorKind::invalid, "expected `configure` of berthd, got `{}`",
                    message.string("type"));
    return {daemon::config_from_json(message.object("config").value()),
            daemon::cgroup_from_json(message.object("cgroup").value()),
            std::move(received.message.fds)};
}

enum class Stop { none, containers_too, api_only };

// Lives on the io_context's thread for the whole process.
class EngineProcess final {
  public:
    EngineProcess(UniqueFd channel, Configure configure)
        : signals_(io_, SIGTERM, SIGINT),
          listeners_(std::move(configure.listeners)),
          config_(std::move(configure.config)),
          cgroup_(std::move(configure.cgroup)),
          engine_(io_, daemon::engine_settings(config_, cgroup_)),
          server_(io_.get_executor(), engine_),
          status_timer_(io_),
          channel_(io_.get_executor(), std::move(channel), "berthd",
                   {[this](async::ChannelMessage message) { on_message(message); },
                    [this] { begin_stop(Stop::api_only); }}) {}

    /// Until the engine was stopped. Throws what the start failed with.
    void run() {
        signals_.async_wait([this](const boost::system::error_code& error, int) {
            if (!error) begin_stop(Stop::containers_too);
        });
        boost::asio::co_spawn(io_, start(), [this](const std::exception_ptr& failure) {
            if (!failure) return;
            start_failure_ = failure;
            io_.stop();
        });
        io_.run();
        if (start_failure_) throw async::to_error(start_failure_);
    }

  private:
    async::Task<> start() {
        engine_.events().on_publish = [this] { report_status_soon(); };
        std::exception_ptr failure;
        try {
            co_await engine_.start();
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure) co_return co_await fail(failure);
        started_ = true;
        if (stop_ != Stop::none) co_return spawn_stop();
        for (UniqueFd& listener : listeners_) server_.listen(std::move(listener));
        listeners_.clear();
        report_status();
        channel_.notify({{"type", "ready"}});
        engine_.networks().reconnect();
    }

    // The supervisor tries again later and later: who waits meanwhile is told.
    async::Task<> fail(std::exception_ptr failure) {
        const auto waits = [](const UniqueFd& listener) {
            return linux_os::wait_readable(listener, 0);
        };
        if (std::ranges::any_of(listeners_, waits)) {
            Error error = async::to_error(failure);
            co_await api::refuse_clients(io_.get_executor(), std::move(listeners_),
                                         std::move(error), kRefusalTime);
        }
        std::rethrow_exception(failure);
    }

    // A start is several events, and a hundred starts are one line.
    void report_status_soon() {
        if (status_due_ || !started_) return;
        status_due_ = true;
        status_timer_.expires_after(kStatusDelay);
        status_timer_.async_wait([this](const boost::system::error_code& error) {
            status_due_ = false;
            if (!error) report_status();
        });
    }

    void report_status() {
        std::string status = engine_.system().status();
        if (status == status_) return;
        status_ = std::move(status);
        channel_.notify({{"type", "status"}, {"text", status_}});
    }

    void on_message(const async::ChannelMessage& message) {
        const std::string type = JsonReader(message.body()).string("type");
        if (type == "reload") {
            reload(daemon::config_from_json(JsonReader(message.body()).object("config").value()));
        } else if (type == "network_ready") {
            log::debug("the network process is ready");
            if (started_) engine_.networks().reconnect();
        }
    }

    void reload(const daemon::Config& wanted) {
        if (!started_ || stop_ != Stop::none) return;
        daemon::Reloaded reloaded = daemon::reload_config(config_, wanted);
        config_ = std::move(reloaded.config);
        log::configure("berth-engine", log::level_from(config_.log_level));
        engine_.reload(daemon::engine_settings(config_, cgroup_),
                       daemon::reloadable_values(config_));
    }

    void begin_stop(Stop stop) {
        if (stop_ != Stop::none) return;
        stop_ = stop;
        if (started_) return spawn_stop();
        // Nothing is served yet: a start that waits for something is not waited for.
        if (stop == Stop::api_only) io_.stop();
    }

    void spawn_stop() {
        boost::asio::co_spawn(io_, stop(), [this](const std::exception_ptr& failure) {
            if (failure) log::error("stopping: {}", async::to_error(failure).message());
            io_.stop();
        });
    }

    // Clients that wait for containers still hear of their end: the API goes last.
    async::Task<> stop() {
        if (stop_ == Stop::containers_too) co_await engine_.shutdown();
        co_await server_.stop(std::chrono::steady_clock::now() + kRequestsEnd);
    }

    boost::asio::io_context io_{1};
    boost::asio::signal_set signals_;
    std::vector<UniqueFd> listeners_;
    daemon::Config config_;
    const engine::CgroupDelegation cgroup_;
    engine::Engine engine_;
    api::Server server_;
    boost::asio::steady_timer status_timer_;
    bool status_due_ = false;
    std::string status_;
    async::MessageChannel channel_;
    Stop stop_ = Stop::none;
    bool started_ = false;
    std::exception_ptr start_failure_;
};

// One heap for all threads, which gives back what a pull or an import needed: the workers wait for
// disks, not for the allocator.
void keep_heap_small() {
    ::mallopt(M_ARENA_MAX, 1);
    ::mallopt(M_TRIM_THRESHOLD, 128 << 10);
    ::mallopt(M_MMAP_THRESHOLD, 128 << 10);
}

void report_failure(BorrowedFd channel, const std::exception& failure) {
    log::error("{}", failure.what());
    if (channel)
        linux_os::send_message(
            channel, dump_json({{"v", 1}, {"type", "failed"}, {"message", failure.what()}}));
}

// Leaves without destructors: coroutines that still wait (a pull that goes on, a container's
// streams) refer to the engine, and jobs of the workers would be waited for. Nothing is lost: what
// is on disk is as after a crash at any moment, and the log is not buffered.
[[noreturn]] void run_and_leave(EngineProcess& process, BorrowedFd channel) {
    try {
        process.run();
    } catch (const std::exception& failure) {
        report_failure(channel, failure);
        std::_Exit(1);
    }
    std::_Exit(0);
}

// `berth-engine check-store DATA_ROOT [fix]`, for a data directory that no engine uses: the report
// goes to standard output. Descriptor 4 is a holder, as for the engine.
int check_store(const std::vector<std::string>& arguments) {
    const UniqueFd holder = linux_os::take_inherited(linux_os::kHolderPidFd);
    linux_os::enter_user_and_mount_namespaces(holder);
    const auto check = arguments.size() > 3 && arguments[3] == "fix" ? engine::StoreCheck::mend
                                                                     : engine::StoreCheck::look;
    const json report = engine::check_data_root(arguments.at(2), check);
    write_all(BorrowedFd{STDOUT_FILENO}, dump_json(report) + "\n");
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    keep_heap_small();
    // Whoever read the log may be gone: that stops nothing.
    ::signal(SIGPIPE, SIG_IGN);
    UniqueFd channel;
    try {
        if (argc > 2 && std::string_view(argv[1]) == "check-store")
            return check_store({argv, argv + argc});
        channel = linux_os::take_inherited(linux_os::kSupervisorChannelFd);
        const UniqueFd holder = linux_os::take_inherited(linux_os::kHolderPidFd);
        Configure configure = receive_configure(channel);
        log::configure("berth-engine", log::level_from(configure.config.log_level));
        ::umask(022);
        linux_os::enter_user_and_mount_namespaces(holder);
        linux_os::unshare_mounts();
        // Kept here too, so that a failure of any step can still be reported.
        EngineProcess process(duplicate(channel), std::move(configure));
        run_and_leave(process, channel);
    } catch (const std::exception& error) {
        report_failure(channel, error);
        return 1;
    }
}
