#include "daemon/supervisor.h"

#include <fmt/ranges.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/cgroup_message.h"
#include "daemon/reload.h"
#include "daemon/survivors.h"
#include "linux/idle_memory.h"
#include "linux/message_socket.h"
#include "rootlesskit/preflight.h"
#include "rootlesskit/process_record.h"
#include "systemd/client.h"

namespace berth::daemon {

using linux_os::PidFd;
using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr seconds kEngineMargin{10};  // for the engine's own work after the containers stopped
constexpr seconds kRestPatience{5};
constexpr int kFormerEnginePatienceMs = 5000;
constexpr int kDyingHolderMs = 500;
constexpr milliseconds kJobPatience{8000};

SteadyTime steady_now() { return std::chrono::steady_clock::now(); }

UniqueFd watch_signals() {
    sigset_t watched;
    ::sigemptyset(&watched);
    for (const int number : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&watched, number);
    if (::sigprocmask(SIG_BLOCK, &watched, nullptr) < 0) throw_errno("blocking signals");
    ::signal(SIGPIPE, SIG_IGN);
    UniqueFd fd{::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK)};
    if (!fd) throw_errno("making a signalfd");
    return fd;
}

// Nothing of a prerequisite that is missing is only in the log: each is one line of its own.
PidFd make_holder(const Config& config) {
    const rootlesskit::Facts facts = rootlesskit::gather_facts();
    std::vector<std::string> fatal;
    for (const rootlesskit::Finding& finding : rootlesskit::check(facts)) {
        const bool spared = finding.name == rootlesskit::kTunFinding && config.bridge == "none";
        if (finding.state == rootlesskit::State::ok) continue;
        if (finding.state == rootlesskit::State::degraded || spared) {
            log::warn("{}", rootlesskit::message_of(finding));
        } else {
            fatal.push_back(rootlesskit::message_of(finding));
        }
    }
    if (!fatal.empty())
        throw Error::with_text(ErrorKind::unavailable,
                               fmt::format("{}", fmt::join(fatal, "\nberthd: ")));
    try {
        return rootlesskit::start_holder(rootlesskit::plan_holder(facts));
    } catch (const rootlesskit::HolderFailure& failure) {
        throw Error::with_text(ErrorKind::unavailable,
                               rootlesskit::message_of(rootlesskit::explain(failure, facts)));
    }
}

// Nothing when that process is gone, or dies just now: a dead one has no namespaces.
PidFd try_holder_beside(const PidFd& member) {
    try {
        return rootlesskit::start_holder_in(member);
    } catch (const rootlesskit::HolderFailure& failure) {
        log::warn("making the holder again in the user namespace of process {}: {}", member.pid(),
                  rootlesskit::message_of(rootlesskit::explain(failure, {})));
        return {};
    }
}

// `systemctl restart` sends the same SIGTERM as `stop`: only the manager knows which it is.
bool is_unit_restart() {
    try {
        const systemd::UnitJob job = systemd::unit_job(::getpid(), kJobPatience);
        return job.job == systemd::Job::restart && !job.manager_stopping;
    } catch (const Error& error) {
        log::debug("{}", error.message());
        return false;
    }
}

std::string names_of(const std::vector<std::string>& keys) {
    return keys.empty() ? "nothing" : fmt::format("{}", fmt::join(keys, ", "));
}

void reap_if_child(const PidFd& process) {
    try {
        (void)process.try_reap();
    } catch (const Error&) {
        // An adopted one is a child of somebody else.
    }
}

}  // namespace

Supervisor::Supervisor(Config config, systemd::Notifier notifier, Reload reload)
    : config_(std::move(config)),
      notifier_(std::move(notifier)),
      reload_(std::move(reload)),
      signals_(watch_signals()),
      born_(steady_now()),
      network_("berth-network", config_.exec_root + "/network.json"),
      engine_("berth-engine", config_.exec_root + "/engine.json"),
      delegation_(config_) {}

Supervisor::~Supervisor() {
    for (const Listener& listener : listeners_)
        if (!listener.path.empty()) ::unlink(listener.path.c_str());
}

int Supervisor::run(std::vector<UniqueFd> inherited_sockets) {
    end_former_engine();
    listeners_ = open_listeners(config_, std::move(inherited_sockets));
    bring_up_holder();
    try {
        start_children();
    } catch (const Error& error) {
        fail_start(error.message());
    }
    loop();
    return exit_status_;
}

// The engine of a supervisor that was killed is just ending: two at a time must never use one
// data root, and it still holds the former listening sockets.
void Supervisor::end_former_engine() {
    const std::string record = config_.exec_root + "/engine.json";
    const auto former = rootlesskit::read_process_record(record);
    if (!former) return;
    log::info("waiting for the former engine, process {}", former->pid());
    if (!linux_os::wait_readable(former->fd(), kFormerEnginePatienceMs)) {
        former->signal(SIGKILL);
        linux_os::wait_readable(former->fd(), kFormerEnginePatienceMs);
    }
    ::unlink(record.c_str());
}

// systemd makes the containers' scope while the children load.
void Supervisor::start_children() {
    begin_delegation();
    if (wants_network_ && !network_.running()) start_network();
    engine_.start(holder_);
    finish_delegation();
    configure_engine();
}

void Supervisor::begin_delegation() {
    std::vector<pid_t> members{holder_.pid()};
    if (network_.running()) members.push_back(network_.process().pid());
    delegation_.begin(members);
}

void Supervisor::finish_delegation() {
    delegation_.finish();
    if (network_.running()) delegation_.take_in(network_.process().pid());
}

void Supervisor::bring_up_holder() {
    const std::string record = config_.exec_root + "/holder.json";
    const bool has_network = network_.adopt();
    wants_network_ = config_.bridge != "none" || ::access("/dev/net/tun", R_OK | W_OK) == 0;
    if (auto found = rootlesskit::read_process_record(record)) {
        holder_ = std::move(*found);
        holder_adopted_ = true;
        log::info(
            "adopted holder, process {}{}", holder_.pid(),
            has_network ? fmt::format(", and network, process {}", network_.process().pid()) : "");
        return;
    }
    holder_ = make_holder_anew();
    // It serves the network namespace of the former holder.
    if (has_network) {
        network_.signal(SIGKILL);
        network_.forget();
    }
}

// In the user namespace of what survived the former holder, so that ids and rights still match: of
// a container's shim, else of a child that entered it.
PidFd Supervisor::make_holder_anew() {
    const std::vector<PidFd> shims = living_shims(config_.exec_root);
    std::vector<const PidFd*> members;
    for (const PidFd& shim : shims) members.push_back(&shim);
    for (const Child* child : {&network_, &engine_})
        if (child->running() && child->ready) members.push_back(&child->process());
    PidFd holder;
    for (const PidFd* member : members)
        if (!holder) holder = try_holder_beside(*member);
    if (holder) {
        log::warn(
            "the holder was gone: made again, and with it the network of running containers: their "
            "connections are lost");
    } else if (!living_shims(config_.exec_root).empty()) {
        throw Error(ErrorKind::unavailable,
                    "the user namespace of the running containers cannot be entered: stop their "
                    "berth-shim processes, then start again");
    } else {
        holder = make_holder(config_);
    }
    rootlesskit::write_process_record(config_.exec_root + "/holder.json", holder);
    return holder;
}

void Supervisor::start_network() {
    network_.start(holder_);
    delegation_.take_in(network_.process().pid());
    network_.configure({{"v", 1}, {"type", "configure"}, {"config", to_json(config_)}}, {});
}

void Supervisor::start_engine() {
    engine_.start(holder_);
    configure_engine();
}

void Supervisor::configure_engine() {
    json hosts = json::array();
    std::vector<BorrowedFd> fds;
    for (const Listener& listener : listeners_) {
        hosts.push_back(listener.host);
        fds.push_back(listener.fd);
    }
    engine_.configure({{"v", 1},
                       {"type", "configure"},
                       {"config", to_json(config_)},
                       {"cgroup", cgroup_to_json(delegation_.result())},
                       {"listeners", hosts}},
                      fds);
}

void Supervisor::loop() {
    announce_when_ready();
    while (phase_ != Phase::done) {
        pollfd watched[] = {{signals_.get(), POLLIN, 0},
                            {network_.channel().get(), POLLIN, 0},
                            {engine_.channel().get(), POLLIN, 0},
                            {network_.process().fd().get(), POLLIN, 0},
                            {engine_.process().fd().get(), POLLIN, 0},
                            {holder_.fd().get(), POLLIN, 0}};
        if (::poll(watched, std::size(watched), next_timeout()) < 0 && errno != EINTR)
            throw_errno("waiting for events");
        // First: a holder's end explains what its children say next.
        if (watched[5].revents) on_holder_end();
        if (watched[0].revents) on_signal();
        if (watched[1].revents) on_message(network_);
        if (watched[2].revents) on_message(engine_);
        if (watched[3].revents && network_.running() && network_.ended()) on_child_end(network_);
        if (watched[4].revents && engine_.running() && engine_.ended()) on_child_end(engine_);
        on_deadlines();
    }
}

int Supervisor::next_timeout() const {
    std::optional<SteadyTime> next = deadline_;
    for (const Child* child : {&network_, &engine_})
        if (child->start_at() && (!next || *child->start_at() < *next)) next = child->start_at();
    if (!next) return -1;
    const auto left = std::chrono::ceil<milliseconds>(*next - steady_now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

void Supervisor::on_deadlines() {
    const SteadyTime now = steady_now();
    if (deadline_ && now >= *deadline_) {
        Child& late = phase_ == Phase::stopping_engine ? engine_ : network_;
        log::warn("{} did not end in time: killed", late.program());
        late.signal(SIGKILL);
        deadline_.reset();
    }
    for (Child* child : {&network_, &engine_}) {
        if (!child->start_at() || now < *child->start_at()) continue;
        try {
            child == &network_ ? start_network() : start_engine();
            log::info("{} started again", child->program());
        } catch (const Error& error) {
            log::error("{}", error.message());
            child->plan_restart();
        }
    }
}

void Supervisor::on_signal() {
    signalfd_siginfo signal{};
    while (::read(signals_.get(), &signal, sizeof signal) == sizeof signal) {
        if (signal.ssi_signo == SIGHUP) {
            on_reload();
        } else {
            on_stop_signal(static_cast<int>(signal.ssi_signo));
        }
    }
}

void Supervisor::on_stop_signal(int number) {
    constexpr int kForcing = 3;
    ++stop_signals_;
    if (stop_signals_ >= kForcing) {
        log::warn("forced to stop by signal number {}", stop_signals_);
        engine_.signal(SIGKILL);
        network_.signal(SIGKILL);
        deadline_ = steady_now() + kRestPatience;
        return;
    }
    if (phase_ != Phase::starting && phase_ != Phase::ready) return;
    log::info("stopping");
    for (Child* child : {&network_, &engine_})
        if (!child->running()) child->forget();
    notifier_.send("STOPPING=1");
    phase_ = Phase::stopping_engine;
    if (!engine_.running()) return stop_rest();
    if (number == SIGTERM && is_unit_restart()) {
        log::info("systemd restarts this unit: containers keep running");
        engine_.close_channel();
        deadline_ = steady_now() + kRestPatience + kEngineMargin;
        return;
    }
    engine_.signal(SIGTERM);
    if (config_.shutdown_timeout >= 0)
        deadline_ = steady_now() + seconds(config_.shutdown_timeout) + kEngineMargin;
}

void Supervisor::on_reload() {
    try {
        Reloaded reloaded = reload_config(config_, reload_());
        config_ = std::move(reloaded.config);
        engine_.send({{"v", 1}, {"type", "reload"}, {"config", to_json(config_)}});
        log::configure("berthd", log::level_from(config_.log_level));
        log::info("configuration read again; changed: {}", names_of(reloaded.changed));
        if (!reloaded.need_restart.empty())
            log::warn("changed in the configuration, and in effect after a restart of berthd: {}",
                      names_of(reloaded.need_restart));
    } catch (const Error& error) {
        log::error("configuration not changed: {}", error.message());
    }
}

void Supervisor::on_message(Child& child) {
    try {
        const auto received = linux_os::receive_message(child.channel());
        // The end of the process itself follows.
        if (received.state == linux_os::ReceiveState::closed) return child.close_channel();
        if (received.state != linux_os::ReceiveState::message) return;
        const json value = parse_json(received.message.text);
        const JsonReader message(value);
        const std::string type = message.string("type");
        if (type == "ready") {
            child.ready = true;
            if (&child == &network_) engine_.send({{"v", 1}, {"type", "network_ready"}});
            announce_when_ready();
        } else if (type == "failed") {
            const std::string text =
                fmt::format("{}: {}", child.program(), message.string("message"));
            if (phase_ == Phase::starting && holder_is_dying()) on_holder_end();
            if (phase_ == Phase::starting && !child.may_end()) return fail_start(text);
            log::error("{}", text);
        } else if (type == "status") {
            status_ = message.string("text");
            if (phase_ == Phase::ready) notifier_.send(status_line());
        }
    } catch (const Error& error) {
        log::error("message of {}: {}", child.program(), error.message());
        child.close_channel();
    }
}

void Supervisor::fail_start(const std::string& message) {
    if (phase_ != Phase::starting) return;
    fmt::print(stderr, "berthd: {}\n", message);
    exit_status_ = 1;
    phase_ = Phase::stopping_engine;
    // The end of its channel, not SIGTERM: containers that survived are not what failed.
    engine_.close_channel();
    deadline_ = steady_now() + kRestPatience;
    if (!engine_.running()) stop_rest();
}

void Supervisor::announce_when_ready() {
    if (phase_ != Phase::starting || !engine_.ready || (wants_network_ && !network_.ready)) return;
    phase_ = Phase::ready;
    for (const Listener& listener : listeners_) log::info("API listen on {}", listener.host);
    const auto took = std::chrono::duration_cast<milliseconds>(steady_now() - born_).count();
    log::info("ready after {} ms", took);
    // The start is over, and from here on the process sleeps for days.
    linux_os::release_idle_memory();
    notifier_.send("READY=1\n" + status_line());
}

// What `systemctl status` shows.
std::string Supervisor::status_line() const {
    constexpr std::string_view kUnix = "unix://";
    const std::string& host = listeners_.front().host;
    const std::string place = host.starts_with(kUnix) ? host.substr(kUnix.size()) : host;
    return fmt::format("STATUS={}{}API on {}", status_, status_.empty() ? "" : "; ", place);
}

void Supervisor::on_child_end(Child& child) {
    // Its last words may have come after the look at its channel, and say why it ended.
    while (child.channel() && linux_os::wait_readable(child.channel(), 0)) on_message(child);
    if (phase_ == Phase::stopping_engine && &child == &engine_) {
        engine_.forget();
        return stop_rest();
    }
    if (phase_ == Phase::stopping_engine || phase_ == Phase::stopping_rest) {
        child.forget();
        if (phase_ == Phase::stopping_rest && !network_.running()) finish();
        return;
    }
    if (phase_ == Phase::starting && holder_is_dying()) on_holder_end();
    // One that served already is started again, though the other one is not ready yet.
    if (phase_ == Phase::starting && !child.ready && !child.may_end()) {
        const std::string how = fmt::format("{} {}", child.program(), child.how_it_ended());
        child.forget();
        return fail_start(how + " before it was ready");
    }
    child.plan_restart();
    const auto wait = std::chrono::ceil<milliseconds>(*child.start_at() - steady_now()).count();
    log::error("{} {}: starting it again in {} ms", child.program(), child.how_it_ended(), wait);
}

// One that was taken over right after its SIGKILL has lost its namespaces before its end shows.
bool Supervisor::holder_is_dying() const {
    return holder_ && holder_adopted_ && linux_os::wait_readable(holder_.fd(), kDyingHolderMs);
}

// Members of the namespaces must still live to make them again, so the children end afterwards.
void Supervisor::on_holder_end() {
    const bool stopping = phase_ != Phase::starting && phase_ != Phase::ready;
    log::error("the holder, process {}, ended", holder_.pid());
    reap_if_child(holder_);
    holder_ = {};
    holder_adopted_ = false;
    if (stopping) return;
    holder_ = make_holder_anew();
    begin_delegation();
    finish_delegation();
    engine_.kill_for_restart();
    network_.kill_for_restart();
}

void Supervisor::stop_rest() {
    phase_ = Phase::stopping_rest;
    deadline_.reset();
    if (!living_shims(config_.exec_root).empty()) {
        log::info("containers keep running: holder and network stay");
        phase_ = Phase::done;
        return;
    }
    if (!network_.running()) return finish();
    network_.signal(SIGTERM);
    deadline_ = steady_now() + kRestPatience;
}

void Supervisor::finish() {
    phase_ = Phase::done;
    if (holder_) {
        holder_.signal(SIGKILL);
        linux_os::wait_readable(holder_.fd(), kFormerEnginePatienceMs);
        reap_if_child(holder_);
    }
    delegation_.remove();
    remove_files();
}

void Supervisor::remove_files() {
    for (const char* name :
         {"holder.json", "network.json", "engine.json", "network.sock", "network-state.json"})
        ::unlink((config_.exec_root + "/" + name).c_str());
    // Only what is empty: a container's directory that could not be removed stays for inspection.
    for (const char* name : {"c", "runtime"}) ::rmdir((config_.exec_root + "/" + name).c_str());
}

}  // namespace berth::daemon
