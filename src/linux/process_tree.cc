#include "linux/process_tree.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "linux/pid_fd.h"

namespace berth::linux_os {
namespace {

namespace fs = std::filesystem;

// A container that forks faster than it can be stopped must not keep us for ever.
constexpr int kMaxRounds = 16;

template <typename Number>
std::vector<Number> numbers_in(std::string_view text) {
    std::vector<Number> numbers;
    const char* at = text.data();
    const char* const end = at + text.size();
    while (at < end) {
        Number number{};
        const auto [next, error] = std::from_chars(at, end, number);
        if (error == std::errc{}) numbers.push_back(number);
        at = next == at ? at + 1 : next;
    }
    return numbers;
}

std::string read_or_nothing(const std::string& path) {
    try {
        return read_file_if_exists(path).value_or("");
    } catch (const Error&) {
        return "";  // ESRCH: it ended while its file was read
    }
}

/// Each thread has its own list of children (CONFIG_PROC_CHILDREN, on wherever CRIU is).
std::vector<pid_t> children_of(pid_t process) {
    std::vector<pid_t> children;
    std::error_code failure;
    const std::string tasks = fmt::format("/proc/{}/task", process);
    for (fs::directory_iterator at(tasks, failure), end; !failure && at != end;
         at.increment(failure)) {
        const auto more = numbers_in<pid_t>(read_or_nothing(at->path().string() + "/children"));
        children.insert(children.end(), more.begin(), more.end());
    }
    return children;
}

bool same_mounts(pid_t a, pid_t b) {
    struct stat one {};
    struct stat other {};
    return ::stat(fmt::format("/proc/{}/ns/mnt", a).c_str(), &one) == 0 &&
           ::stat(fmt::format("/proc/{}/ns/mnt", b).c_str(), &other) == 0 &&
           one.st_ino == other.st_ino && one.st_dev == other.st_dev;
}

void append_tree(std::vector<pid_t>& found, pid_t root) {
    const std::size_t first = found.size();
    found.push_back(root);
    for (std::size_t at = first; at < found.size(); ++at)
        for (const pid_t child : children_of(found[at])) found.push_back(child);
}

void signal_if_there(pid_t process, int number) {
    try {
        (void)PidFd::open(process).signal(number);
    } catch (const Error&) {
        return;  // gone, or not ours any more
    }
}

}  // namespace

std::vector<pid_t> process_tree(pid_t root) {
    std::vector<pid_t> found;
    append_tree(found, root);
    return found;
}

std::vector<pid_t> container_tree(pid_t process1) {
    std::vector<pid_t> found = process_tree(process1);
    const auto figures = figures_of(process1);
    if (!figures) return {};
    for (const pid_t sibling : children_of(figures->parent))
        if (sibling != process1 && same_mounts(sibling, process1)) append_tree(found, sibling);
    return found;
}

void kill_tree(pid_t root) {
    std::set<pid_t> stopped;
    for (int round = 0; round < kMaxRounds; ++round) {
        const std::size_t before = stopped.size();
        for (const pid_t process : process_tree(root))
            if (stopped.insert(process).second) signal_if_there(process, SIGSTOP);
        if (stopped.size() == before) break;
    }
    for (const pid_t process : stopped) signal_if_there(process, SIGKILL);
}

std::optional<ProcessFigures> parse_process_stat(std::string_view text) {
    const auto open = text.find('(');
    // The command name may hold spaces and parentheses: fields are counted from the last one.
    const auto close = text.rfind(')');
    if (open == std::string_view::npos || close == std::string_view::npos || close < open)
        return std::nullopt;
    ProcessFigures figures;
    figures.name = text.substr(open + 1, close - open - 1);
    if (text.size() < close + 4) return std::nullopt;
    figures.state = text[close + 2];
    const auto fields = numbers_in<std::int64_t>(text.substr(close + 3));
    // fields[0] is field 4 of proc(5), the parent.
    if (fields.size() < 19) return std::nullopt;
    const auto natural = [&](std::size_t at) {
        return static_cast<std::uint64_t>(std::max<std::int64_t>(0, fields[at]));
    };
    figures.parent = static_cast<pid_t>(fields[0]);
    figures.terminal = static_cast<int>(fields[3]);
    figures.user_ticks = natural(10) + natural(12);
    figures.system_ticks = natural(11) + natural(13);
    figures.threads = natural(16);
    figures.start_ticks = natural(18);
    return figures;
}

std::optional<ProcessFigures> figures_of(pid_t process) {
    return parse_process_stat(read_or_nothing(fmt::format("/proc/{}/stat", process)));
}

}  // namespace berth::linux_os
