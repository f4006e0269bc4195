#include "base/log.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

#include "base/clock.h"
#include "base/error.h"

namespace berth::log {
namespace {

constexpr std::size_t kMaxLine = 8192;
constexpr std::array<std::string_view, 4> kNames{"debug", "info", "warn", "error"};

// Set once at start, before any thread runs.
Level lowest_level = Level::info;
std::string program_name = "berth";  // NOLINT: see above
bool to_journal = false;

// systemd names the stream that it connected; a program may have been given another one since.
bool is_journal(int fd) {
    const char* stream = ::secure_getenv("JOURNAL_STREAM");
    struct stat about {};
    return stream && ::fstat(fd, &about) == 0 &&
           fmt::format("{}:{}", about.st_dev, about.st_ino) == stream;
}

// Of syslog: the journal takes it from the line, and stamps the time itself.
std::string opening(Level level) {
    constexpr std::array<int, 4> kPriorities{7, 6, 4, 3};
    const auto index = static_cast<std::size_t>(level);
    return to_journal ? fmt::format("<{}>", kPriorities[index])
                      : fmt::format("time={} ", rfc3339(Timestamp::now()));
}

}  // namespace

void configure(std::string_view program, Level lowest) {
    program_name = program;
    lowest_level = lowest;
    to_journal = is_journal(STDERR_FILENO);
}

Level level_from(std::string_view name) {
    for (std::size_t i = 0; i < kNames.size(); ++i)
        if (kNames[i] == name) return static_cast<Level>(i);
    if (name == "fatal") return Level::error;
    throw Error(ErrorKind::invalid, "unknown log level '{}': use debug, info, warn, error or fatal",
                name);
}

bool enabled(Level level) { return level >= lowest_level; }

void write(Level level, std::string_view message) {
    if (!enabled(level)) return;
    std::string line = fmt::format("{}level={} program={} msg=\"", opening(level),
                                   kNames[static_cast<std::size_t>(level)], program_name);
    for (const char c : message.substr(0, kMaxLine)) {
        if (c == '\n') {
            line += "\\n";
        } else if (c == '"') {
            line += "\\\"";
        } else if (static_cast<unsigned char>(c) >= 0x20) {
            line += c;
        }
    }
    line += "\"\n";
    // A log that cannot be written must not stop the program.
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace berth::log
