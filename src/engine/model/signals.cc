#include "engine/model/signals.h"

#include <csignal>
#include <map>
#include <string_view>

#include "base/error.h"
#include "base/number.h"

namespace berth::engine::model {

namespace {

// The kernel's numbers, not glibc's: SIGRTMIN is 34 for both, glibc keeps 32 and 33.
constexpr int kRtMin = 34;
constexpr int kRtMax = 64;

const std::map<std::string_view, int>& names() {
    static const std::map<std::string_view, int> kNames = {
        {"HUP", SIGHUP},   {"INT", SIGINT},     {"QUIT", SIGQUIT}, {"ILL", SIGILL},
        {"TRAP", SIGTRAP}, {"ABRT", SIGABRT},   {"IOT", SIGABRT},  {"BUS", SIGBUS},
        {"FPE", SIGFPE},   {"KILL", SIGKILL},   {"USR1", SIGUSR1}, {"SEGV", SIGSEGV},
        {"USR2", SIGUSR2}, {"PIPE", SIGPIPE},   {"ALRM", SIGALRM}, {"TERM", SIGTERM},
        {"STKFLT", 16},    {"CHLD", SIGCHLD},   {"CLD", SIGCHLD},  {"CONT", SIGCONT},
        {"STOP", SIGSTOP}, {"TSTP", SIGTSTP},   {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},
        {"URG", SIGURG},   {"XCPU", SIGXCPU},   {"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM},
        {"PROF", SIGPROF}, {"WINCH", SIGWINCH}, {"IO", SIGIO},     {"POLL", SIGIO},
        {"PWR", SIGPWR},   {"SYS", SIGSYS},     {"RTMIN", kRtMin}, {"RTMAX", kRtMax}};
    return kNames;
}

int number_from(std::string_view text) { return whole_number<int>(text).value_or(-1); }

int lookup(std::string_view name) {
    const auto found = names().find(name);
    if (found != names().end()) return found->second;
    if (name.starts_with("RTMIN+")) return kRtMin + number_from(name.substr(6));
    if (name.starts_with("RTMAX-")) return kRtMax - number_from(name.substr(6));
    return number_from(name);
}

}  // namespace

int signal_from(const std::string& text) {
    std::string name;
    for (const char c : text) name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    if (name.starts_with("SIG")) name.erase(0, 3);
    const int number = name.empty() ? -1 : lookup(name);
    if (number <= 0 || number > kRtMax) throw Error(ErrorKind::invalid, "invalid signal: {}", text);
    return number;
}

}  // namespace berth::engine::model
