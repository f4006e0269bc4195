#include "engine/containers/stats_sample.h"

#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <limits>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "linux/process_tree.h"

namespace berth::engine {

namespace {

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

std::uint64_t number(std::string_view text) {
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

std::uint64_t counter(const Counters& counters, const std::string& key) {
    const auto found = counters.find(key);
    return found == counters.end() ? 0 : found->second;
}

/// Nothing when the file is absent, or when what it tells of has ended.
std::optional<std::string> read(const std::string& path) {
    try {
        return read_file_if_exists(path);
    } catch (const Error&) {
        return std::nullopt;
    }
}

std::uint64_t tick_length_ns() {
    return 1'000'000'000ULL / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
}

std::uint64_t machine_memory() {
    struct sysinfo facts {};
    return ::sysinfo(&facts) == 0 ? std::uint64_t{facts.totalram} * facts.mem_unit : 0;
}

std::uint64_t limit_from(const std::optional<std::string>& text) {
    return !text || text->starts_with("max") ? kNoLimit : number(*text);
}

/// Sums over the processes, made when the first file of the cgroup is missing.
struct ProcessSums final {
    std::uint64_t user_ns = 0, system_ns = 0, threads = 0;
    std::uint64_t anonymous = 0, file = 0, shared = 0;
    BlockUse block;
};

void add_memory(pid_t process, ProcessSums& sums) {
    const auto status = read(fmt::format("/proc/{}/status", process));
    if (!status) return;
    for (const std::string_view line : words_of(*status, "\n")) {
        const auto words = words_of(line, ": \t");
        if (words.size() < 2) continue;
        const std::uint64_t bytes = number(words[1]) << 10;
        if (words[0] == "RssAnon") sums.anonymous += bytes;
        if (words[0] == "RssFile") sums.file += bytes;
        if (words[0] == "RssShmem") sums.shared += bytes;
    }
}

void add_block(pid_t process, ProcessSums& sums) {
    const Counters io =
        parse_counters(read(fmt::format("/proc/{}/io", process)).value_or(std::string()));
    sums.block.read_bytes += counter(io, "read_bytes:");
    sums.block.written_bytes += counter(io, "write_bytes:");
}

ProcessSums sum_processes(const StatsTarget& target) {
    const std::uint64_t tick = tick_length_ns();
    ProcessSums sums;
    for (const pid_t process : processes_of(target)) {
        const auto figures = linux_os::figures_of(process);
        if (!figures) continue;
        sums.user_ns += figures->user_ticks * tick;
        sums.system_ns += figures->system_ticks * tick;
        sums.threads += figures->threads;
        add_memory(process, sums);
        add_block(process, sums);
    }
    return sums;
}

class Reader final {
  public:
    explicit Reader(const StatsTarget& target) : target_(target) {}

    void read_cpu(CpuUse& cpu) {
        if (const auto text = file("cpu.stat")) {
            const Counters counters = parse_counters(*text);
            const auto ns = [&](const char* key) { return counter(counters, key) * 1000; };
            cpu.total_ns = ns("usage_usec");
            cpu.user_ns = ns("user_usec");
            cpu.system_ns = ns("system_usec");
            cpu.periods = counter(counters, "nr_periods");
            cpu.throttled_periods = counter(counters, "nr_throttled");
            cpu.throttled_ns = ns("throttled_usec");
            return;
        }
        cpu.user_ns = sums().user_ns;
        cpu.system_ns = sums().system_ns;
        cpu.total_ns = cpu.user_ns + cpu.system_ns;
    }

    void read_memory(StatsSample& sample) {
        sample.memory_limit = std::min(limit_from(file("memory.max")), machine_memory());
        if (const auto usage = file("memory.current")) {
            sample.memory_usage = number(*usage);
            sample.memory = parse_counters(file("memory.stat").value_or(""));
            sample.memory_failures =
                counter(parse_counters(file("memory.events").value_or("")), "oom");
            return;
        }
        const ProcessSums& all = sums();
        sample.memory_usage = all.anonymous + all.file + all.shared;
        sample.memory = {{"anon", all.anonymous},
                         {"file", all.file + all.shared},
                         {"inactive_file", 0},
                         {"shmem", all.shared}};
    }

    void read_block(StatsSample& sample) {
        if (const auto text = file("io.stat")) {
            sample.block = parse_io_stat(*text);
            return;
        }
        sample.block = {sums().block};
    }

    void read_pids(StatsSample& sample) {
        const auto current = file("pids.current");
        sample.pids = current ? number(*current) : sums().threads;
        sample.pids_limit = limit_from(file("pids.max"));
    }

  private:
    std::optional<std::string> file(const char* name) const {
        if (target_.cgroup.empty()) return std::nullopt;
        return read(target_.cgroup + "/" + name);
    }

    const ProcessSums& sums() {
        if (!sums_) sums_ = sum_processes(target_);
        return *sums_;
    }

    const StatsTarget& target_;
    std::optional<ProcessSums> sums_;
};

}  // namespace

Counters parse_counters(std::string_view text) {
    Counters counters;
    for (const std::string_view line : words_of(text, "\n")) {
        const auto words = words_of(line, " ");
        if (words.size() == 2) counters.emplace(words[0], number(words[1]));
    }
    return counters;
}

std::vector<BlockUse> parse_io_stat(std::string_view text) {
    std::vector<BlockUse> devices;
    for (const std::string_view line : words_of(text, "\n")) {
        const auto words = words_of(line, " ");
        const auto colon = words.front().find(':');
        // A device without figures is listed by some kernels.
        if (words.size() < 2 || colon == std::string_view::npos) continue;
        BlockUse& device = devices.emplace_back();
        device.major = number(words.front().substr(0, colon));
        device.minor = number(words.front().substr(colon + 1));
        for (const std::string_view word : words) {
            const auto equals = word.find('=');
            if (equals == std::string_view::npos) continue;
            const std::string_view key = word.substr(0, equals);
            const std::uint64_t value = number(word.substr(equals + 1));
            if (key == "rbytes") device.read_bytes = value;
            if (key == "wbytes") device.written_bytes = value;
            if (key == "rios") device.reads = value;
            if (key == "wios") device.writes = value;
        }
    }
    return devices;
}

std::map<std::string, InterfaceUse> parse_net_dev(std::string_view text) {
    std::map<std::string, InterfaceUse> interfaces;
    for (const std::string_view line : words_of(text, "\n")) {
        const auto colon = line.find(':');
        if (colon == std::string_view::npos) continue;  // the two lines of headings
        const auto names = words_of(line.substr(0, colon), " ");
        const auto values = words_of(line.substr(colon + 1), " ");
        if (names.size() != 1 || values.size() < 12 || names.front() == "lo") continue;
        InterfaceUse& use = interfaces[std::string(names.front())];
        use.rx_bytes = number(values[0]);
        use.rx_packets = number(values[1]);
        use.rx_errors = number(values[2]);
        use.rx_dropped = number(values[3]);
        use.tx_bytes = number(values[8]);
        use.tx_packets = number(values[9]);
        use.tx_errors = number(values[10]);
        use.tx_dropped = number(values[11]);
    }
    return interfaces;
}

HostCpu parse_host_cpu(std::string_view text, std::uint64_t tick_ns) {
    HostCpu host;
    for (const std::string_view line : words_of(text, "\n")) {
        const auto words = words_of(line, " ");
        if (!words.front().starts_with("cpu")) break;
        if (words.front() != "cpu") {
            ++host.cpus;
            continue;
        }
        // user to softirq: what follows is of the host's own host, or counted in these already.
        for (std::size_t i = 1; i < words.size() && i <= 7; ++i)
            host.used_ns += number(words[i]) * tick_ns;
    }
    return host;
}

HostCpu read_host_cpu() {
    return parse_host_cpu(read("/proc/stat").value_or(""), tick_length_ns());
}

std::vector<pid_t> processes_of(const StatsTarget& target) {
    if (target.cgroup.empty() || !exists(target.cgroup))
        return linux_os::container_tree(target.process1);
    // Those that a container with a cgroup of its own put into parts of it are in there too.
    std::vector<std::string> directories{target.cgroup};
    std::error_code failure;
    using Walk = std::filesystem::recursive_directory_iterator;
    for (Walk at(target.cgroup, failure), end; !failure && at != end; at.increment(failure))
        if (at->is_directory(failure)) directories.push_back(at->path());
    std::vector<pid_t> processes;
    for (const std::string& directory : directories) {
        const std::string list = read(directory + "/cgroup.procs").value_or("");
        for (const std::string_view line : words_of(list, "\n"))
            processes.push_back(static_cast<pid_t>(number(line)));
    }
    return processes;
}

StatsSample read_sample(const StatsTarget& target, const HostCpu& host) {
    StatsSample sample;
    Reader reader(target);
    reader.read_cpu(sample.cpu);
    reader.read_memory(sample);
    reader.read_block(sample);
    reader.read_pids(sample);
    if (target.own_network)
        sample.interfaces =
            parse_net_dev(read(fmt::format("/proc/{}/net/dev", target.process1)).value_or(""));
    sample.cpu.host = host;
    sample.at = Timestamp::now();
    return sample;
}

}  // namespace berth::engine
