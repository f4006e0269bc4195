// `berth load` and `berth import`: images from tar archives, from a file or standard input.
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/engine_client.h"
#include "cli/flags.h"
#include "cli/progress.h"

namespace berth::cli {
namespace {

constexpr std::array kLoadFlags{Flag{"input", 'i'}, Flag{"quiet", 'q', FlagKind::toggle}};
constexpr std::array kImportFlags{Flag{"change", 'c'}, Flag{"message", 'm'}, Flag{"platform"}};

// "-" and "" are standard input.
UniqueFd open_input(const std::string& path) {
    if (path.empty() || path == "-") return duplicate(BorrowedFd{STDIN_FILENO});
    return open_file(path, O_RDONLY);
}

void send_archive(const std::string& host, const std::string& target, const UniqueFd& input) {
    http::ClientRequest request{"POST", target, {{"Content-Type", "application/x-tar"}}, {}, {}};
    request.body_source = [&input](std::span<char> into) -> std::size_t {
        for (;;) {
            const ssize_t count = ::read(input.get(), into.data(), into.size());
            if (count >= 0) return static_cast<std::size_t>(count);
            if (errno != EINTR) throw_errno("reading the archive");
        }
    };
    show_progress(EngineClient(host).send(request));
}

}  // namespace

int load_command(const Invocation& invocation) {
    const Flags flags = Flags::parse(invocation.arguments, kLoadFlags, Positionals::anywhere);
    send_archive(invocation.host,
                 flags.on("quiet") ? "/images/load?quiet=1" : "/images/load?quiet=0",
                 open_input(flags.get("input")));
    return 0;
}

int import_command(const Invocation& invocation) {
    const Flags flags = Flags::parse(invocation.arguments, kImportFlags, Positionals::anywhere);
    flags.require(1, "import [FLAGS] FILE|- [REPOSITORY[:TAG]]");
    std::string target = "/images/create?fromSrc=-";
    if (flags.positionals().size() > 1)
        target += "&repo=" + http::encode_percent(flags.positionals()[1]);
    if (flags.has("message")) target += "&message=" + http::encode_percent(flags.get("message"));
    if (flags.has("platform")) target += "&platform=" + http::encode_percent(flags.get("platform"));
    for (const std::string& change : flags.all("change"))
        target += "&changes=" + http::encode_percent(change);
    send_archive(invocation.host, target, open_input(flags.positionals().front()));
    return 0;
}

}  // namespace berth::cli
