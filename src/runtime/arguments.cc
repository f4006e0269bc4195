#include "runtime/arguments.h"

#include <algorithm>
#include <csignal>
#include <cstring>

#include "base/error.h"
#include "base/number.h"
#include "base/text.h"

namespace berth::runtime {
namespace {

// Flags as one text: "name" takes none, "name=" takes a value, "x:name" has a short form.
constexpr std::string_view kGlobal =
    "root= log= log-format= log-level= debug systemd-cgroup cgroup-manager= rootless= v:version "
    "h:help";
constexpr std::string_view kCreate =
    "b:bundle= f:config= console-socket= pid-file= pidfd-socket= no-pivot no-new-keyring "
    "preserve-fds= h:help";

struct Verb final {
    std::string_view name;
    std::string_view flags;
};
constexpr Verb kVerbs[] = {
    {"create", kCreate},
    {"run", kCreate},  // and kRunOnly
    {"start", "h:help"},
    {"state", "h:help"},
    {"kill", "a:all r:regex h:help"},
    {"delete", "f:force r:regex h:help"},
    {"exec",
     "p:process= t:tty cwd= e:env= u:user= g:additional-gids= c:cap= d:detach pid-file= "
     "console-socket= pidfd-socket= process-label= apparmor= no-new-privs preserve-fds= cgroup= "
     "ignore-paused h:help"},
    {"list", "f:format= q:quiet h:help"},
    {"ps", "f:format= h:help"},
    {"features", "h:help"},
    {"spec", "b:bundle= rootless h:help"},
    {"pause", "h:help"},
    {"resume", "h:help"},
    {"update",
     "r:resources= memory= memory-reservation= memory-swap= cpu-period= cpu-quota= cpu-share= "
     "cpu-shares= cpuset-cpus= cpuset-mems= pids-limit= blkio-weight= cpu-idle= cpu-burst= "
     "cpu-rt-period= cpu-rt-runtime= kernel-memory= kernel-memory-tcp= l3-cache-schema= "
     "mem-bw-schema= h:help"},
};
constexpr std::string_view kRunOnly = "d:detach keep no-subreaper";

struct Flag final {
    std::string name;
    bool takes_value = false;
};

std::optional<Flag> find_flag(std::string_view table, std::string_view wanted) {
    while (!table.empty()) {
        const auto space = table.find(' ');
        std::string_view entry = table.substr(0, space);
        table.remove_prefix(space == std::string_view::npos ? table.size() : space + 1);
        std::string_view letter;
        if (entry.size() > 2 && entry[1] == ':') {
            letter = entry.substr(0, 1);
            entry.remove_prefix(2);
        }
        const bool takes_value = entry.ends_with('=');
        if (takes_value) entry.remove_suffix(1);
        if (entry == wanted || (!letter.empty() && letter == wanted))
            return Flag{std::string(entry), takes_value};
    }
    return std::nullopt;
}

std::string flags_of(std::string_view verb) {
    for (const Verb& entry : kVerbs)
        if (entry.name == verb)
            return verb == "run" ? fmt::format("{} {}", entry.flags, kRunOnly)
                                 : std::string(entry.flags);
    throw Error(ErrorKind::invalid, "unknown command \"{}\"", verb);
}

/// Takes the flags from `at` on and returns the index of the first word that is none.
std::size_t take_flags(const std::vector<std::string>& words, std::size_t at,
                       std::string_view table, Options& options) {
    for (; at < words.size() && words[at].size() > 1 && words[at][0] == '-'; ++at) {
        if (words[at] == "--") return at + 1;
        std::string_view word = words[at];
        word.remove_prefix(word.starts_with("--") ? 2 : 1);
        const auto equals = word.find('=');
        const auto flag = find_flag(table, word.substr(0, equals));
        if (!flag) throw Error(ErrorKind::invalid, "unknown flag {}", words[at]);
        if (!flag->takes_value) {
            const std::string_view value =
                equals == std::string_view::npos ? "true" : word.substr(equals + 1);
            if (value != "false") options.add(flag->name, "true");
        } else if (equals != std::string_view::npos) {
            options.add(flag->name, std::string(word.substr(equals + 1)));
        } else if (at + 1 < words.size()) {
            options.add(flag->name, words[++at]);
        } else {
            throw Error(ErrorKind::invalid, "flag {} needs a value", words[at]);
        }
    }
    return at;
}

}  // namespace

std::string Options::value(std::string_view name, std::string fallback) const {
    const auto found = values_.find(std::string(name));
    return found == values_.end() ? std::move(fallback) : found->second.back();
}

std::vector<std::string> Options::all(std::string_view name) const {
    const auto found = values_.find(std::string(name));
    return found == values_.end() ? std::vector<std::string>{} : found->second;
}

std::optional<long> Options::number(std::string_view name) const {
    if (!has(name)) return std::nullopt;
    const std::string text = value(name);
    const auto number = whole_number<long>(text);
    if (!number) throw Error(ErrorKind::invalid, "--{}: \"{}\" is not a number", name, text);
    return number;
}

Arguments parse_arguments(const std::vector<std::string>& words) {
    Arguments arguments;
    std::size_t at = take_flags(words, 0, kGlobal, arguments.global);
    if (at == words.size()) return arguments;
    arguments.verb = words[at++];
    const std::string table = flags_of(arguments.verb);
    // Flags may also stand behind the id (`delete ID --force`), except where a program follows.
    const bool stops_at_id = arguments.verb == "exec";
    while (at < words.size()) {
        at = take_flags(words, at, table, arguments.options);
        if (at == words.size()) break;
        arguments.positional.push_back(words[at++]);
        if (!stops_at_id) continue;
        if (at < words.size() && words[at] == "--") ++at;
        while (at < words.size()) arguments.positional.push_back(words[at++]);
    }
    return arguments;
}

void check_container_id(std::string_view id) {
    const auto allowed = [](char letter) {
        return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
               (letter >= '0' && letter <= '9') || std::strchr("_+-.", letter) != nullptr;
    };
    if (id.empty() || id.size() > 1024 || id[0] == '.' ||
        !std::all_of(id.begin(), id.end(), allowed))
        throw Error(ErrorKind::invalid, "invalid container ID \"{}\"", id);
}

int parse_signal(std::string_view text) {
    if (const auto number = whole_number<int>(text); number && *number >= 0 && *number <= 64)
        return *number;
    std::string name = to_upper(text);
    if (name.starts_with("SIG")) name.erase(0, 3);
    for (int candidate = 1; candidate < 32; ++candidate)
        if (const char* known = ::sigabbrev_np(candidate); known && name == known) return candidate;
    if (name == "RTMIN") return SIGRTMIN;
    if (name == "RTMAX") return SIGRTMAX;
    throw Error(ErrorKind::invalid, "unknown signal \"{}\"", text);
}

}  // namespace berth::runtime
