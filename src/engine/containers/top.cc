#include "engine/containers/top.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <nlohmann/json.hpp>
#include <regex>

#include "base/file.h"
#include "base/text.h"
#include "engine/containers/stats.h"
#include "linux/process_tree.h"
#include "linux/spawn.h"

namespace berth::engine {

namespace {

constexpr std::size_t kMaxOutput = 16U << 20;
constexpr std::size_t kMaxArguments = 4096;

/// The command's words, which the last column has all of.
std::vector<std::string> row_of(std::vector<std::string> words, std::size_t columns) {
    for (std::size_t i = columns; i < words.size(); ++i) words[columns - 1] += " " + words[i];
    words.resize(columns);
    return words;
}

std::string find_ps() {
    for (const char* path : {"/usr/bin/ps", "/bin/ps"})
        if (access(path, X_OK) == 0) return path;
    return "";
}

struct PsOutput final {
    int exit_code = 0;
    std::string output, problem;
};

PsOutput run_ps(const std::string& program, std::vector<std::string> arguments) {
    Pipe output = Pipe::make();
    Pipe problem = Pipe::make();
    linux_os::SpawnRequest request;
    request.program = program;
    request.arguments = {"ps"};
    request.arguments.insert(request.arguments.end(), arguments.begin(), arguments.end());
    request.environment = linux_os::current_environment();
    request.fds = {{output.write.borrow(), 1}, {problem.write.borrow(), 2}};
    const linux_os::PidFd child = linux_os::spawn(request);
    output.write.reset();
    problem.write.reset();
    PsOutput result;
    try {
        result.output = read_all(output.read, kMaxOutput);
        output.read.reset();
        result.problem = read_all(problem.read, kMaxOutput);
    } catch (...) {
        output.read.reset();
        problem.read.reset();
        child.reap();
        throw;
    }
    result.exit_code = child.reap().code;
    return result;
}

/// "-q" makes ps cheap with many processes; one that does not know it lists all of them.
std::string ps_text(const std::string& program, const std::vector<pid_t>& processes,
                    const std::vector<std::string>& arguments) {
    std::string list = "-q";
    for (const pid_t process : processes)
        list += (list.size() > 2 ? "," : "") + std::to_string(process);
    std::vector<std::string> all{list};
    all.insert(all.end(), arguments.begin(), arguments.end());
    PsOutput result = run_ps(program, all);
    if (result.exit_code != 0) result = run_ps(program, arguments);
    if (result.exit_code == 0) return std::move(result.output);
    const std::string first = result.problem.substr(0, result.problem.find('\n'));
    throw Error(ErrorKind::internal, "ps: {}",
                first.empty() ? fmt::format("exit status {}", result.exit_code) : first);
}

std::string user_name(uid_t uid) {
    char buffer[4096];
    passwd entry{};
    passwd* found = nullptr;
    getpwuid_r(uid, &entry, buffer, sizeof buffer, &found);
    return found == nullptr ? std::to_string(uid) : found->pw_name;
}

std::string clock_text(std::uint64_t seconds) {
    return fmt::format("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

std::string start_text(std::uint64_t start_ticks, std::uint64_t ticks_a_second) {
    timespec booted{};
    ::clock_gettime(CLOCK_BOOTTIME, &booted);
    const std::time_t now = ::time(nullptr);
    const std::time_t start =
        now - booted.tv_sec + static_cast<std::time_t>(start_ticks / ticks_a_second);
    std::tm local{};
    ::localtime_r(&start, &local);
    char text[16];
    const bool today = now - start < 24 * 3600;
    return {text, std::strftime(text, sizeof text, today ? "%H:%M" : "%b%d", &local)};
}

std::string terminal_text(int device) {
    const int major = (device >> 8) & 0xfff;
    const int minor = (device & 0xff) | ((device >> 12) & 0xfff00);
    constexpr int kFirstPty = 136;
    if (device == 0) return "?";
    if (major >= kFirstPty && major < kFirstPty + 8)
        return fmt::format("pts/{}", (major - kFirstPty) * 256 + minor);
    return major == 4 ? fmt::format("tty{}", minor) : "?";
}

std::string command_text(pid_t process, const std::string& name) {
    std::string line;
    try {
        line = read_file_if_exists(fmt::format("/proc/{}/cmdline", process)).value_or("");
    } catch (const Error&) {
        line.clear();
    }
    while (!line.empty() && line.back() == '\0') line.pop_back();
    std::ranges::replace(line, '\0', ' ');
    return line.empty() ? "[" + name + "]" : line;
}

void check_has_processes(const Container& container) {
    const model::Status status = container.record.state.status;
    if (status == model::Status::restarting)
        throw Error(ErrorKind::conflict,
                    "container {} is restarting, wait until the container is running",
                    container.record.id);
    if (status != model::Status::running && status != model::Status::paused)
        throw Error(ErrorKind::conflict, "container {} is not running", container.record.id);
}

}  // namespace

void check_ps_arguments(const std::string& arguments) {
    if (arguments.size() > kMaxArguments)
        throw Error(ErrorKind::invalid, "ps_args has {} bytes, the most is {}", arguments.size(),
                    kMaxArguments);
    // Without its title the PID column would not be found, or another would be taken for it.
    static const std::regex kRenamed("\\s+([^\\s]*)=\\s*(PID[^\\s]*)");
    for (std::sregex_iterator at(arguments.begin(), arguments.end(), kRenamed), end; at != end;
         ++at) {
        const std::string key = (*at)[1];
        if (key != "pid")
            throw Error(ErrorKind::invalid, "specifying \"{}={}\" is not allowed", key,
                        (*at)[2].str());
    }
}

ProcessTable parse_ps_output(std::string_view text, const std::vector<pid_t>& processes) {
    ProcessTable table;
    const std::size_t first_end = std::min(text.find('\n'), text.size());
    table.titles = copied_words_of(text.substr(0, first_end));
    const auto title = std::ranges::find(table.titles, "PID");
    // Clients show this text.
    if (title == table.titles.end())
        throw Error(ErrorKind::invalid, "Couldn't find PID field in ps output");
    const auto column = static_cast<std::size_t>(title - table.titles.begin());
    bool last_was_ours = false;
    for (std::size_t from = first_end + 1; from < text.size();) {
        const std::size_t to = std::min(text.find('\n', from), text.size());
        std::vector<std::string> words = copied_words_of(text.substr(from, to - from));
        from = to + 1;
        if (words.size() < table.titles.size()) continue;
        const std::string& shown = words[column];
        pid_t process = 0;
        const auto [end, error] =
            std::from_chars(shown.data(), shown.data() + shown.size(), process);
        const bool number = error == std::errc{} && end == shown.data() + shown.size();
        if (!number && shown != "-") throw Error(ErrorKind::invalid, "Unexpected pid '{}'", shown);
        // "-" stands for threads of the process above (`ps -m`).
        if (number) last_was_ours = std::ranges::find(processes, process) != processes.end();
        if (last_was_ours) table.rows.push_back(row_of(std::move(words), table.titles.size()));
    }
    return table;
}

ProcessTable table_from_proc(const std::vector<pid_t>& processes) {
    const auto ticks = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
    ProcessTable table;
    table.titles = {"UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"};
    for (const pid_t process : processes) {
        const auto figures = linux_os::figures_of(process);
        struct stat owner {};
        const std::string directory = fmt::format("/proc/{}", process);
        if (!figures || ::stat(directory.c_str(), &owner) != 0) continue;
        timespec booted{};
        ::clock_gettime(CLOCK_BOOTTIME, &booted);
        const std::uint64_t used = (figures->user_ticks + figures->system_ticks) / ticks;
        const std::uint64_t lived =
            static_cast<std::uint64_t>(booted.tv_sec) - figures->start_ticks / ticks;
        table.rows.push_back(
            {user_name(owner.st_uid), std::to_string(process), std::to_string(figures->parent),
             std::to_string(lived == 0 ? 0 : std::min<std::uint64_t>(99, used * 100 / lived)),
             start_text(figures->start_ticks, ticks), terminal_text(figures->terminal),
             clock_text(used), command_text(process, figures->name)});
    }
    return table;
}

async::Task<nlohmann::json> list_processes(ContainerState& state, ContainerPtr container,
                                           std::string ps_arguments) {
    check_ps_arguments(ps_arguments);
    check_has_processes(*container);
    auto job = [target = stats_target(state, *container), words = copied_words_of(ps_arguments)] {
        const std::vector<pid_t> processes = processes_of(target);
        const std::string program = find_ps();
        if (program.empty()) return table_from_proc(processes);
        return parse_ps_output(ps_text(program, processes, words), processes);
    };
    const ProcessTable table = co_await state.deps.context.pool.run(std::move(job));
    state.publish(*container, "top");
    co_return nlohmann::json{{"Titles", table.titles}, {"Processes", table.rows}};
}

}  // namespace berth::engine
