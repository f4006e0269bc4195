// The fake berth-engine and berth-network: they follow docs/processes.md towards the supervisor,
// really enter the namespaces, and the engine answers words on the API socket.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "linux/enter_namespaces.h"
#include "linux/message_socket.h"
#include "supervisor_world.h"

namespace berth::test {
namespace {

std::string namespace_of(const std::string& name) {
    return std::filesystem::read_symlink("/proc/self/ns/" + name).string();
}

std::string cgroup;  // of the configure message

std::string answer_to(const std::string& word) {
    if (word.starts_with("cgroup")) return cgroup;
    if (word.starts_with("crash")) ::abort();
    if (word.starts_with("pid")) return std::to_string(::getpid());
    if (word.starts_with("uid")) return std::to_string(::geteuid());
    if (word.starts_with("map")) return read_file("/proc/self/uid_map");
    return namespace_of(word.substr(0, word.find('\n')));
}

void serve(BorrowedFd listener) {
    const UniqueFd client{::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    char word[64]{};
    if (::read(client.get(), word, sizeof word - 1) > 0) write_all(client, answer_to(word));
}

}  // namespace

int run_fake_child(const std::string& name) {
    const BorrowedFd channel{linux_os::kSupervisorChannelFd};
    const auto received = linux_os::receive_message(channel);
    const auto configure = parse_json(received.message.text);
    if (configure["type"] != "configure") return 2;
    if (configure.contains("cgroup")) cgroup = configure["cgroup"].dump();
    linux_os::enter_user_and_mount_namespaces(BorrowedFd{linux_os::kHolderPidFd});
    const bool engine = name == "berth-engine";
    if (engine) linux_os::unshare_mounts();
    if (engine && configure["config"]["labels"] == nlohmann::json{"fail=start"}) {
        linux_os::send_message(channel, R"({"v":1,"type":"failed","message":"no storage"})");
        return 1;
    }
    linux_os::send_message(channel, R"({"v":1,"type":"ready"})");
    bool open = true;
    while (engine || open) {
        pollfd fds[2] = {{channel.get(), POLLIN, 0}, {-1, POLLIN, 0}};
        if (!received.message.fds.empty()) fds[1].fd = received.message.fds[0].get();
        ::poll(fds, 2, -1);
        if (fds[1].revents) serve(received.message.fds[0]);
        if (!fds[0].revents) continue;
        open = linux_os::receive_message(channel).state == linux_os::ReceiveState::message;
        if (!open && engine) return 0;
    }
    for (;;) ::pause();
}

}  // namespace berth::test

int main(int argc, char** argv) {
    const std::string name = argv[0];
    if (name.starts_with("berth-")) return berth::test::run_fake_child(name);
    ::testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
