#include "cli/credential_helper.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "linux/spawn.h"

namespace berth::cli {
namespace {

constexpr std::chrono::minutes kPatience{2};
constexpr std::size_t kMaxAnswer = 1U << 20;
/// The user name that says that the secret is an identity token.
constexpr const char* kTokenUser = "<token>";

struct Answer final {
    int code = 0;
    std::string text;
};

std::string find_helper(const std::string& name) {
    const bool plain = !name.empty() && std::ranges::all_of(name, [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
    });
    if (!plain) throw Error(ErrorKind::invalid, "'{}' is no name of a credential helper", name);
    const std::string program = "docker-credential-" + name;
    std::string path = linux_os::find_program(program);
    if (path.empty())
        throw Error(ErrorKind::not_found, "error getting credentials: {} is not in PATH", program);
    return path;
}

/// Reads to the end, which must come before the deadline.
std::string read_answer(BorrowedFd fd) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    std::string text;
    std::array<char, 4096> buffer{};
    while (text.size() <= kMaxAnswer) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now());
        pollfd waiting{.fd = fd.get(), .events = POLLIN, .revents = 0};
        const int ready =
            ::poll(&waiting, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) throw Error(ErrorKind::unavailable, "it did not answer in time");
        const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return text;
        text.append(buffer.data(), static_cast<std::size_t>(count));
    }
    throw Error(ErrorKind::invalid, "its answer is too large");
}

Answer run_helper(const std::string& name, const std::string& verb, const std::string& input) {
    const std::string program = find_helper(name);
    Pipe in = Pipe::make();
    Pipe out = Pipe::make();
    linux_os::SpawnRequest request{.program = program,
                                   .arguments = {program, verb},
                                   .environment = linux_os::current_environment()};
    request.fds = {{in.read, STDIN_FILENO},
                   {out.write, STDOUT_FILENO},
                   {BorrowedFd{STDERR_FILENO}, STDERR_FILENO}};
    const linux_os::PidFd process = linux_os::spawn(request);
    in.read.reset();
    out.write.reset();
    try {
        // Far below a pipe's size: this does not wait for the program.
        write_all(in.write, input);
        in.write.reset();
        Answer answer;
        answer.text = read_answer(out.read);
        answer.code = process.reap().code;
        while (answer.text.ends_with('\n')) answer.text.pop_back();
        return answer;
    } catch (Error& error) {
        process.signal(SIGKILL);
        process.reap();
        throw error.while_("docker-credential-{} {}", name, verb);
    }
}

[[noreturn]] void fail(const std::string& name, const std::string& verb, const Answer& answer) {
    throw Error(ErrorKind::internal, "docker-credential-{} {} failed with {}: {}", name, verb,
                answer.code, answer.text);
}

}  // namespace

std::optional<Login> ask_credential_helper(const std::string& name, const std::string& registry) {
    const Answer answer = run_helper(name, "get", registry);
    // The helpers' own words for it.
    if (answer.code != 0 && answer.text.starts_with("credentials not found")) return std::nullopt;
    if (answer.code != 0) fail(name, "get", answer);
    const nlohmann::json document = parse_json(answer.text);
    const JsonReader reader(document, "docker-credential-" + name);
    const std::string user = reader.string("Username");
    const std::string secret = reader.string("Secret");
    if (user == kTokenUser) return Login{.username = "", .password = "", .identity_token = secret};
    return Login{.username = user, .password = secret, .identity_token = ""};
}

void tell_credential_helper(const std::string& name, const std::string& registry,
                            const Login& login) {
    const bool has_token = !login.identity_token.empty();
    const nlohmann::json document{{"ServerURL", registry},
                                  {"Username", has_token ? kTokenUser : login.username},
                                  {"Secret", has_token ? login.identity_token : login.password}};
    const Answer answer = run_helper(name, "store", dump_json(document));
    if (answer.code != 0) fail(name, "store", answer);
}

void erase_at_credential_helper(const std::string& name, const std::string& registry) {
    const Answer answer = run_helper(name, "erase", registry);
    if (answer.code != 0 && !answer.text.starts_with("credentials not found"))
        fail(name, "erase", answer);
}

}  // namespace berth::cli
