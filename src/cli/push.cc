// `berth push`: an image to a registry.
#include <unistd.h>

#include <array>

#include "base/file.h"
#include "cli/command.h"
#include "cli/engine_client.h"
#include "cli/flags.h"
#include "cli/progress.h"
#include "cli/registry_auth.h"

namespace berth::cli {
namespace {

constexpr std::array kFlags{Flag{"all-tags", 'a', FlagKind::toggle},
                            Flag{"quiet", 'q', FlagKind::toggle}};

}  // namespace

int push_command(const Invocation& invocation) {
    const Flags flags = Flags::parse(invocation.arguments, kFlags, Positionals::anywhere);
    flags.require(1, "push [-a] [-q] NAME[:TAG]");
    const std::string& reference = flags.positionals().front();
    const NamedTag named = split_tag(reference, flags.on("all-tags") ? Tags::all : Tags::one);
    http::ClientRequest request{"POST",
                                "/images/" + named.name + "/push",
                                {{"X-Registry-Auth", registry_auth(reference)}},
                                {},
                                {}};
    if (!named.tag.empty()) request.target += "?tag=" + http::encode_percent(named.tag);
    EngineClient client(invocation.host);
    show_progress(client.send(request), flags.on("quiet") ? Show::nothing : Show::all);
    if (flags.on("quiet")) write_all(BorrowedFd{STDOUT_FILENO}, reference + "\n");
    return 0;
}

}  // namespace berth::cli
