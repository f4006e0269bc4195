#include "registry_process.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <chrono>

#include "base/error.h"
#include "base/file.h"
#include "linux/spawn.h"

namespace berth::image::test {
namespace {

constexpr const char* kRegistry = "/usr/bin/docker-registry";
constexpr const char* kSkopeo = "/usr/bin/skopeo";
// bcrypt of "secret", the only hash that docker-registry takes.
constexpr const char* kPasswordLine =
    "joe:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";
constexpr std::chrono::seconds kStartLimit{20};

std::string config_text(const std::string& directory, const RegistryOptions& options) {
    std::string text =
        "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: " +
        directory + "/data\nhttp:\n  addr: " + options.address + ":0\n";
    if (!options.tls.empty()) text += "  tls:\n" + options.tls;
    if (!options.auth.empty()) text += "auth:\n" + options.auth;
    return text;
}

RegistryOptions options_for(const std::string& directory, RegistryAccess access) {
    RegistryOptions result;
    if (access == RegistryAccess::password)
        result.auth = "  htpasswd:\n    realm: test\n    path: " + directory + "/htpasswd\n";
    return result;
}

/// Reads the log until it names the address that the registry listens on.
std::string wait_for_address(BorrowedFd log) {
    const auto deadline = std::chrono::steady_clock::now() + kStartLimit;
    const std::string marker = "listening on ";
    std::string text;
    while (true) {
        const std::size_t found = text.find(marker);
        const std::size_t end = found == std::string::npos
                                    ? found
                                    : text.find_first_of(", \"\n", found + marker.size());
        if (end != std::string::npos)
            return text.substr(found + marker.size(), end - found - marker.size());
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now());
        pollfd waiting{.fd = log.get(), .events = POLLIN, .revents = 0};
        std::array<char, 4096> buffer{};
        if (left.count() <= 0 || ::poll(&waiting, 1, static_cast<int>(left.count())) <= 0)
            throw Error(ErrorKind::unavailable, "docker-registry did not start: {}", text);
        const ssize_t got = ::read(log.get(), buffer.data(), buffer.size());
        if (got <= 0) throw Error(ErrorKind::unavailable, "docker-registry ended: {}", text);
        text.append(buffer.data(), static_cast<std::size_t>(got));
    }
}

}  // namespace

std::string missing_programs() {
    if (!exists(kRegistry)) return "docker-registry is not installed";
    if (!exists(kSkopeo)) return "skopeo is not installed";
    return "";
}

RegistryProcess::RegistryProcess(const std::string& directory, RegistryAccess access)
    : RegistryProcess(directory, options_for(directory, access)) {}

RegistryProcess::RegistryProcess(const std::string& directory, const RegistryOptions& options)
    : directory_(directory) {
    make_directories(directory + "/data");
    replace_file(directory + "/config.yml", config_text(directory, options), 0600,
                 Durability::process);
    replace_file(directory + "/htpasswd", kPasswordLine, 0600, Durability::process);
    Pipe pipe = Pipe::make();
    process_ = linux_os::spawn({.program = kRegistry,
                                .arguments = {kRegistry, "serve", directory + "/config.yml"},
                                .environment = linux_os::current_environment(),
                                .directory = "",
                                .fds = {{pipe.write, 1}, {pipe.write, 2}},
                                .cgroup = {}});
    pipe.write.reset();
    log_ = std::move(pipe.read);
    try {
        host_ = wait_for_address(log_);
    } catch (...) {
        process_.signal(SIGKILL);
        process_.reap();
        throw;
    }
    // A pipe that nobody reads would stall it, one that is closed would kill it.
    drain_ = std::jthread([this] {
        std::array<char, 4096> buffer{};
        while (::read(log_.get(), buffer.data(), buffer.size()) > 0) {
        }
    });
}

RegistryProcess::~RegistryProcess() {
    process_.signal(SIGKILL);
    process_.reap();
}

std::string RegistryProcess::blob_file(const std::string& hex) const {
    return directory_ + "/data/docker/registry/v2/blobs/sha256/" + hex.substr(0, 2) + "/" + hex +
           "/data";
}

void run_program(const std::vector<std::string>& arguments) {
    Pipe pipe = Pipe::make();
    const linux_os::PidFd process = linux_os::spawn({.program = arguments.front(),
                                                     .arguments = arguments,
                                                     .environment = linux_os::current_environment(),
                                                     .directory = "",
                                                     .fds = {{pipe.write, 1}, {pipe.write, 2}},
                                                     .cgroup = {}});
    pipe.write.reset();
    const std::string output = read_all(pipe.read);
    if (const int code = process.reap().code; code != 0)
        throw Error(ErrorKind::internal, "{} ended with {}: {}", arguments.front(), code, output);
}

void skopeo_copy(const std::vector<std::string>& arguments) {
    std::vector<std::string> all{kSkopeo, "--insecure-policy", "copy", "--quiet",
                                 "--dest-tls-verify=false"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    run_program(all);
}

}  // namespace berth::image::test
