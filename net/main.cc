// berth-network. Order of the start:
//   1. one thread: SIGPIPE ignored (libslirp writes without MSG_NOSIGNAL), SIGTERM to a descriptor,
//      `configure` read from the supervisor (fd 3);
//   2. still one thread, as setns(2) into a user namespace demands: the holder's user namespace
//      (fd 4 is its pidfd), id 0 there, its mount namespace. The network namespace stays the
//      host's, so sockets made by the main and the libslirp thread are the host's;
//   3. executor and relay thread join the container network namespace; the tap and the gate of
//      outgoing connections are made there;
//   4. libslirp's thread serves the tap; state of a previous process is taken up;
//   5. network.sock listens, `ready` goes to the supervisor.
// The process outlives supervisor and engine, and ends by SIGTERM.
#include <grp.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "linux/message_socket.h"
#include "net/dns.h"
#include "net/egress.h"
#include "net/firewall.h"
#include "net/host_resolvers.h"
#include "net/server.h"
#include "net/user_stack.h"

namespace berth::net {
namespace {

constexpr int kSupervisorFd = 3;
constexpr int kHolderFd = 4;
constexpr std::size_t kStackBytes = 256 << 10;

void keep_memory_small() {
    ::mallopt(M_ARENA_MAX, 1);
    ::mallopt(M_TRIM_THRESHOLD, 128 << 10);
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setstacksize(&attributes, kStackBytes);
    ::pthread_setattr_default_np(&attributes);
    ::pthread_attr_destroy(&attributes);
}

// Each relayed connection needs two descriptors.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

UniqueFd signal_descriptor() {
    ::signal(SIGPIPE, SIG_IGN);
    sigset_t ending;
    ::sigemptyset(&ending);
    ::sigaddset(&ending, SIGTERM);
    ::sigaddset(&ending, SIGINT);
    ::sigprocmask(SIG_BLOCK, &ending, nullptr);
    UniqueFd fd{::signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK)};
    if (!fd) throw_errno("making a signal descriptor");
    return fd;
}

ProcessConfig receive_config(BorrowedFd supervisor) {
    const linux_os::Received received = linux_os::receive_message(supervisor);
    if (received.state != linux_os::ReceiveState::message)
        throw Error(ErrorKind::invalid, "the supervisor sent no configuration");
    const nlohmann::json message = parse_json(received.message.text);
    const JsonReader reader(message);
    if (reader.string("type") != "configure" || !reader.find("config"))
        throw Error(ErrorKind::invalid, "the supervisor's first message is not configure");
    return process_config_from(*reader.find("config"));
}

void join_holder(BorrowedFd holder) {
    if (::setns(holder.get(), CLONE_NEWUSER) < 0) throw_errno("joining the user namespace");
    // Without mapped groups (single-id mode) the kernel denies setgroups; there is none to drop.
    if (::setgroups(0, nullptr) < 0 && errno != EPERM) throw_errno("dropping groups");
    if (::setresgid(0, 0, 0) < 0) throw_errno("becoming group 0 of the user namespace");
    if (::setresuid(0, 0, 0) < 0) throw_errno("becoming user 0 of the user namespace");
    if (::setns(holder.get(), CLONE_NEWNS) < 0) throw_errno("joining the mount namespace");
}

void tell(BorrowedFd supervisor, const nlohmann::json& message) {
    linux_os::send_message(supervisor, dump_json(message));
}

void serve(UniqueFd supervisor, UniqueFd holder) {
    UniqueFd signals = signal_descriptor();
    const ProcessConfig config = receive_config(supervisor);
    log::configure("berth-network", log::level_from(config.log_level));
    join_holder(holder);

    NamespaceThread executor(holder);
    holder.reset();
    ContainerSide side(executor);
    UniqueFd tap = side.prepare(config);
    RelayLoop relays(executor);
    Service service(side, relays, config);
    service.watch(relays);
    Dns dns(executor, host_resolvers);
    service.watch(dns);
    Egress egress(side, executor, config);
    service.watch(egress);
    // Datagrams profit from large packets.
    const int mtu = egress.is_on() ? config.tap_mtu : std::min(config.tap_mtu, kSegmentMtu);
    const UserStack stack(std::move(tap), config, mtu);
    service.restore();
    service.save();
    UniqueFd listener = linux_os::listen_messages(config.socket);
    tell(supervisor, {{"v", 1}, {"type", "ready"}});
    // The start needed far more than idling does.
    ::malloc_trim(0);
    Server(service, std::move(listener), std::move(supervisor), std::move(signals)).run();
    ::unlink(config.socket.c_str());
    service.forget();
}

int run() {
    keep_memory_small();
    raise_descriptor_limit();
    UniqueFd supervisor{kSupervisorFd};
    const UniqueFd last_words = duplicate(supervisor);
    try {
        serve(std::move(supervisor), UniqueFd{kHolderFd});
        return 0;
    } catch (const std::exception& error) {
        log::error("{}", error.what());
        tell(last_words, {{"v", 1}, {"type", "failed"}, {"message", error.what()}});
        return 1;
    }
}

}  // namespace
}  // namespace berth::net

int main(int count, char** arguments) {
    try {
        if (count == 2 && std::string_view(arguments[1]) == berth::net::kLoadRulesVerb)
            return berth::net::load_rules_verb();
        return berth::net::run();
    } catch (const std::exception& error) {
        berth::log::error("{}", error.what());
        return 1;
    }
}
