#include "shim/runtime_call.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "linux/spawn.h"

namespace berth::shim {
namespace {

constexpr std::size_t kMaxErrorText = 1U << 20;

template <typename Use>
void for_each_line(const std::string& text, Use use) {
    for (std::size_t from = 0; from < text.size();) {
        const std::size_t end = std::min(text.find('\n', from), text.size());
        if (end > from) use(text.substr(from, end - from));
        from = end + 1;
    }
}

std::string error_text(const std::string& log_path, BorrowedFd stderr_file) {
    std::string text;
    if (const auto log = read_file_if_exists(log_path, kMaxErrorText))
        text = last_error_record(*log);
    if (text.empty() && stderr_file) {
        ::lseek(stderr_file.get(), 0, SEEK_SET);
        text = last_line(read_all(stderr_file, kMaxErrorText));
    }
    return text;
}

}  // namespace

std::string last_error_record(const std::string& log_text) {
    std::string found;
    for_each_line(log_text, [&](const std::string& line) {
        try {
            const nlohmann::json value = parse_json(line);
            const JsonReader record(value);
            const std::string level = record.string("level");
            if (level == "error" || level == "fatal") found = record.string("msg");
        } catch (const Error&) {
            // A line cut short, or a runtime that logs text: stderr tells then.
        }
    });
    return found;
}

pid_t read_pid_file(const std::string& path) {
    const std::string text = read_file(path, 64);
    pid_t pid = 0;
    std::from_chars(text.data(), text.data() + text.size(), pid);
    if (pid <= 0) throw Error(ErrorKind::invalid, "{} holds no process id", path);
    return pid;
}

std::string last_line(const std::string& text) {
    std::string found;
    for_each_line(text, [&](const std::string& line) {
        if (line.find_first_not_of(" \t\r") != std::string::npos) found = line;
    });
    return found;
}

void RuntimeCaller::run(const RuntimeCall& call, std::function<void(const RuntimeResult&)> done) {
    const std::string log_path = fmt::format("{}/runtime-{}.log", directory_, next_++);
    auto stderr_file = std::make_shared<UniqueFd>();
    if (!call.stderr_end) stderr_file->reset(::memfd_create("runtime-stderr", MFD_CLOEXEC));

    linux_os::SpawnRequest request;
    request.program = config_.runtime_program;
    request.arguments = {config_.runtime_program};
    request.arguments.insert(request.arguments.end(), config_.runtime_arguments.begin(),
                             config_.runtime_arguments.end());
    for (const char* flag : {"--root", config_.runtime_root.c_str(), "--log", log_path.c_str(),
                             "--log-format", "json"})
        request.arguments.emplace_back(flag);
    request.arguments.insert(request.arguments.end(), call.arguments.begin(), call.arguments.end());
    request.environment = linux_os::current_environment();
    request.directory = directory_;
    if (call.stdin_end) request.fds.emplace_back(call.stdin_end, STDIN_FILENO);
    if (call.stdout_end) request.fds.emplace_back(call.stdout_end, STDOUT_FILENO);
    const BorrowedFd stderr_end = call.stderr_end ? call.stderr_end : stderr_file->borrow();
    if (stderr_end) request.fds.emplace_back(stderr_end, STDERR_FILENO);

    const linux_os::PidFd child = linux_os::spawn(request);
    const std::string verb = call.arguments.front();
    reaper_.expect(child.pid(), [=, done = std::move(done)](linux_os::ExitStatus status) {
        RuntimeResult result{status.code, ""};
        if (status.code != 0) {
            result.error = error_text(log_path, *stderr_file);
            if (result.error.empty())
                result.error = fmt::format("runtime {} ended with status {}", verb, status.code);
        }
        ::unlink(log_path.c_str());
        done(result);
    });
}

}  // namespace berth::shim
