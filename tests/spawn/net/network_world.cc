#include "network_world.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "linux/message_socket.h"
#include "linux/socket_address.h"
#include "linux/spawn.h"
#include "net/netlink.h"

namespace berth::net {
namespace {

// Enters new namespaces as root of them; "" or what is missing.
std::string unshare_as_root(int namespaces) {
    const uid_t uid = ::geteuid();
    const gid_t gid = ::getegid();
    if (::unshare(CLONE_NEWUSER | namespaces) < 0) return "unprivileged user namespaces";
    try {
        const auto write = [](const char* path, const std::string& text) {
            write_all(open_file(path, O_WRONLY), text);
        };
        if (read_file("/proc/self/setgroups") != "deny\n") write("/proc/self/setgroups", "deny");
        write("/proc/self/uid_map", fmt::format("0 {} 1", uid));
        write("/proc/self/gid_map", fmt::format("0 {} 1", gid));
    } catch (const Error& error) {
        return error.message();
    }
    return "";
}

std::string make_host() {
    if (std::string missing = unshare_as_root(CLONE_NEWNET | CLONE_NEWNS); !missing.empty())
        return missing;
    ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    NetlinkBatch card;
    card.add_bridge({"host0", "02:00:00:00:00:01", 1500});
    card.run();
    NetlinkBatch addresses;
    addresses.set_up(link_index("lo"), "lo");
    const unsigned index = link_index("host0");
    addresses.add_address(index, Subnet::parse(std::string(kHostAddress) + "/24"), IfExists::fail);
    if (exists("/proc/sys/net/ipv6"))
        addresses.add_address(index, Subnet::parse(std::string(kHostAddress6) + "/64"),
                              IfExists::fail);
    addresses.run();
    // The file itself, whatever /etc/resolv.conf is a link to.
    char real[PATH_MAX];
    if (!::realpath("/etc/resolv.conf", real)) return "/etc/resolv.conf";
    const std::string own = fmt::format("/tmp/berth-net-resolv.{}", ::getpid());
    replace_file(own, fmt::format("nameserver {}\n", kHostAddress), 0644, Durability::process);
    const bool bound = ::mount(own.c_str(), real, nullptr, MS_BIND, nullptr) == 0;
    ::unlink(own.c_str());
    return bound ? "" : "a bind mount on /etc/resolv.conf";
}

// Forks a process that waits for ever once `prepare` succeeded and returns when it does.
Child run_sleeper(const std::function<bool()>& prepare) {
    Pipe ready = Pipe::make();
    const int write_end = ready.write.get();
    Child child = Child::run([&] {
        if (!prepare()) return 1;
        write_all(BorrowedFd{write_end}, "r");
        while (true) ::pause();
    });
    ready.write.reset();
    char byte = 0;
    if (::read(ready.read.get(), &byte, 1) == 1) return child;
    throw Error(ErrorKind::internal, "a stand-in process failed");
}

}  // namespace

Child Child::run(const std::function<int()>& work) {
    const pid_t pid = ::fork();
    if (pid < 0) throw_errno("forking");
    if (pid == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        int code = 99;
        try {
            code = work();
        } catch (const std::exception& error) {
            ::dprintf(2, "child: %s\n", error.what());
        }
        ::_exit(code);
    }
    return Child(linux_os::PidFd::open(pid));
}

Child::~Child() {
    if (!process_ || process_.try_reap()) return;
    process_.signal(SIGKILL);
    process_.reap();
}

int Child::wait() {
    if (!linux_os::wait_readable(process_.fd(), 2 * kDeadlineMs)) return -1;
    const int code = process_.reap().code;
    process_ = {};
    return code;
}

Container::Container(BorrowedFd holder, std::string id)
    : id_(std::move(id)),
      sleeper_(run_sleeper([&] {
          return ::setns(holder.get(), CLONE_NEWUSER) == 0 && ::unshare(CLONE_NEWNET) == 0;
      })),
      namespace_(open_file(fmt::format("/proc/{}/ns/net", sleeper_.process().pid()), O_RDONLY)) {}

Child Container::run(const std::function<int()>& work) const {
    return Child::run([&] {
        if (::setns(namespace_.get(), CLONE_NEWNET) < 0) throw_errno("entering the container");
        return work();
    });
}

Remote::Remote()
    : sleeper_(run_sleeper([] { return ::unshare(CLONE_NEWNET) == 0; })),
      namespace_(open_file(fmt::format("/proc/{}/ns/net", sleeper_.process().pid()), O_RDONLY)) {
    NetlinkBatch cable;
    cable.add_veth({.name = "remote0",
                    .bridge_index = link_index("host0"),
                    .mtu = 1500,
                    .peer_name = "eth0",
                    .peer_mac = "02:00:00:00:00:07",  // neighbours remember it
                    .peer_namespace = namespace_});
    cable.run();
    Child setup = run([] {
        NetlinkBatch addresses;
        const unsigned index = link_index("eth0");
        addresses.set_up(link_index("lo"), "lo");
        addresses.set_up(index, "eth0");
        addresses.add_address(index, Subnet::parse(std::string(kRemoteAddress) + "/24"),
                              IfExists::fail);
        if (exists("/proc/sys/net/ipv6"))
            addresses.add_address(index, Subnet::parse(std::string(kRemoteAddress6) + "/64"),
                                  IfExists::fail);
        addresses.run();
        return 0;
    });
    if (setup.wait() != 0) throw Error(ErrorKind::internal, "the remote machine was not made");
}

Remote::~Remote() {
    NetlinkBatch cable;
    cable.remove_link("remote0");
    cable.run();
}

Child Remote::run(const std::function<int()>& work) const {
    return Child::run([&] {
        if (::setns(namespace_.get(), CLONE_NEWNET) < 0) throw_errno("entering the remote machine");
        return work();
    });
}

void NetworkWorld::SetUp() {
    static const std::string missing = make_host();
    if (!missing.empty()) GTEST_SKIP() << "missing: " << missing;
    if (::access("/dev/net/tun", R_OK | W_OK) < 0) GTEST_SKIP() << "missing: /dev/net/tun";
    char pattern[] = "/tmp/berth-net.XXXXXX";
    directory_ = ::mkdtemp(pattern);
    holder_.emplace(
        run_sleeper([] { return unshare_as_root(CLONE_NEWNS | CLONE_NEWNET).empty(); }));
    start_network();
}

void NetworkWorld::TearDown() {
    client_.reset();
    if (network_) {
        network_.signal(SIGTERM);
        EXPECT_EQ(network_.reap().code, 0);
    }
    holder_.reset();
    if (!directory_.empty()) remove_tree(directory_);
}

void NetworkWorld::start_network() {
    auto [ours, theirs] = linux_os::message_socket_pair();
    supervisor_ = std::move(ours);
    std::string program = linux_os::find_own_program("berth-network");
    std::vector<std::string> arguments = {"berth-network"};
    if (descriptors_ != 0) {
        arguments = {"prlimit", fmt::format("--nofile={}", descriptors_), program};
        program = "/usr/bin/prlimit";
    }
    network_ =
        linux_os::spawn({.program = program,
                         .arguments = arguments,
                         .fds = {{theirs, 3}, {holder_->process().fd(), 4}, {BorrowedFd{2}, 2}}});
    theirs.reset();
    config_.socket = directory_ + "/network.sock";
    config_.log_level = "warn";
    linux_os::send_message(
        supervisor_, dump_json({{"v", 1}, {"type", "configure"}, {"config", to_json(config_)}}));
    ASSERT_TRUE(linux_os::wait_readable(supervisor_, kDeadlineMs));
    const auto received = linux_os::receive_message(supervisor_);
    ASSERT_NE(received.message.text.find("\"ready\""), std::string::npos) << received.message.text;
    client_.emplace(NetworkClient::connect(config_.socket));
}

void NetworkWorld::crash_network() {
    client_.reset();
    network_.signal(SIGKILL);
    network_.reap();
    network_ = {};
}

Container NetworkWorld::attached_container(const std::string& id, int last) {
    ensure(default_network());
    Container made = container(id);
    Attachment wanted = attachment(id, last);
    wanted.pid = made.pid();
    client().attach(wanted, made.network_namespace());
    return made;
}

Container NetworkWorld::dual_stack_container(const std::string& id, int last) {
    NetworkSpec spec = default_network();
    spec.subnet_v6 = "fd88::/64";
    spec.gateway_v6 = "fd88::1";
    ensure(spec);
    Container made = container(id);
    Attachment wanted = attachment(id, last);
    wanted.pid = made.pid();
    wanted.address_v6 = fmt::format("fd88::{}/64", last);
    wanted.gateway_v6 = "fd88::1";
    client().attach(wanted, made.network_namespace());
    return made;
}

std::vector<PortBinding> NetworkWorld::publish(const Container& target, PortBinding binding) {
    return publish(target, std::vector<PortBinding>{std::move(binding)});
}

std::vector<PortBinding> NetworkWorld::publish(const Container& target,
                                               std::vector<PortBinding> bindings) {
    return client().publish({target.id(), std::move(bindings)}, target.network_namespace());
}

NetworkSpec default_network() {
    return {.id = "net0",
            .name = "bridge",
            .bridge = "docker0",
            .subnet = "172.17.0.0/16",
            .gateway = "172.17.0.1"};
}

Attachment attachment(const std::string& id, int last) {
    return {.container = id,
            .network_id = "net0",
            .address = fmt::format("172.17.0.{}/16", last),
            .gateway = "172.17.0.1",
            .mac = fmt::format("02:42:ac:11:00:{:02x}", last)};
}

std::string error_of(const std::function<void()>& call) {
    try {
        call();
    } catch (const Error& error) {
        return error.message();
    }
    return "";
}

Child NetworkWorld::occupy(const std::string& address, std::uint16_t port) {
    Pipe bound = Pipe::make();
    Child squatter = Child::run([&] {
        if (::setns(holder_->process().fd().get(), CLONE_NEWUSER | CLONE_NEWNET) < 0) return 1;
        const UniqueFd taken = listen_tcp(address, port);
        write_all(bound.write, "b");
        while (true) ::pause();
        return 0;
    });
    bound.write.reset();
    char byte = 0;
    EXPECT_EQ(::read(bound.read.get(), &byte, 1), 1);
    return squatter;
}

int open_descriptors(pid_t pid) {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(fmt::format("/proc/{}/fd", pid))) {
        (void)entry;
        ++count;
    }
    return count;
}

}  // namespace berth::net
