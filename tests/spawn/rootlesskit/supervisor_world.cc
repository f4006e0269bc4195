#include "supervisor_world.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "linux/message_socket.h"
#include "linux/spawn.h"
#include "rootlesskit/process_record.h"

namespace berth::test {

namespace fs = std::filesystem;
using linux_os::PidFd;

namespace {
constexpr int kDeadlineMs = 10'000;
}

World::World() {
    std::string pattern = fs::temp_directory_path().string() + "/berth-test-XXXXXX";
    if (!::mkdtemp(pattern.data())) throw_errno("making a directory");
    directory_ = pattern;
    const fs::path own = fs::read_symlink("/proc/self/exe");
    fs::create_directory(directory_ + "/bin");
    fs::create_directory(directory_ + "/run");
    fs::copy_file(own.parent_path() / "berthd", directory_ + "/bin/berthd");
    fs::create_symlink(own, directory_ + "/bin/berth-engine");
    fs::create_symlink(own, directory_ + "/bin/berth-network");
}

World::~World() {
    for (const char* name : {"engine.json", "network.json", "holder.json"})
        if (const auto process =
                rootlesskit::read_process_record(exec_root() + "/" + std::string(name)))
            process->signal(SIGKILL);
    remove_tree(directory_);
}

World::Daemon World::start(const std::vector<std::string>& flags,
                           const std::vector<std::string>& environment) {
    Pipe pipe = Pipe::make();
    linux_os::SpawnRequest request;
    request.program = directory_ + "/bin/berthd";
    request.arguments = {"berthd"};
    request.arguments.insert(request.arguments.end(), flags.begin(), flags.end());
    request.environment = environment;
    if (environment.empty())
        request.environment = {"PATH=/usr/bin:/bin", "HOME=" + directory_,
                               "XDG_RUNTIME_DIR=" + runtime()};
    request.fds = {{pipe.write, STDERR_FILENO}, {pipe.write, STDOUT_FILENO}};
    return {linux_os::spawn(request), std::move(pipe.read)};
}

std::string World::read_until(Daemon& daemon, const std::string& text) {
    std::string seen;
    while (seen.find(text) == std::string::npos) {
        char buffer[4096];
        if (!linux_os::wait_readable(daemon.output, kDeadlineMs)) break;
        const ssize_t length = ::read(daemon.output.get(), buffer, sizeof buffer);
        if (length <= 0) break;
        seen.append(buffer, static_cast<std::size_t>(length));
    }
    EXPECT_NE(seen.find(text), std::string::npos) << "waited for '" << text << "' in: " << seen;
    return seen;
}

std::pair<int, std::string> World::run(const std::vector<std::string>& flags,
                                       const std::vector<std::string>& environment) {
    Daemon daemon = start(flags, environment);
    const std::string output = read_all(daemon.output);
    return {daemon.process.reap().code, output};
}

std::string World::ask(const std::string& word) const {
    const UniqueFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, (runtime() + "/docker.sock").c_str());
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        return "no answer: " + errno_text(errno);
    write_all(socket, word + "\n");
    return read_all(socket);
}

pid_t World::recorded(const std::string& name) const {
    const auto text = read_file_if_exists(exec_root() + "/" + name + ".json");
    return text ? static_cast<pid_t>(parse_json(*text)["pid"].get<int>()) : -1;
}

bool wait_gone(const PidFd& process) { return linux_os::wait_readable(process.fd(), kDeadlineMs); }

bool wait_gone(pid_t pid) {
    try {
        return wait_gone(PidFd::open(pid));
    } catch (const Error&) {
        return true;
    }
}

}  // namespace berth::test
