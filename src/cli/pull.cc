// `berth pull`: images from a registry.
#include <unistd.h>

#include <array>

#include "base/file.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/progress.h"

namespace berth::cli {
namespace {

constexpr std::array kFlags{Flag{"all-tags", 'a', FlagKind::toggle}, Flag{"platform"},
                            Flag{"quiet", 'q', FlagKind::toggle}};

}  // namespace

int pull_command(const Invocation& invocation) {
    const Flags flags = Flags::parse(invocation.arguments, kFlags, Positionals::anywhere);
    flags.require(1, "pull [-a] [-q] [--platform P] NAME[:TAG|@DIGEST]");
    const std::string& reference = flags.positionals().front();
    const PullWish wish{.reference = reference,
                        .platform = flags.get("platform"),
                        .tags = flags.on("all-tags") ? Tags::all : Tags::one,
                        .show = flags.on("quiet") ? Show::nothing : Show::all};
    pull_image(invocation.host, wish);
    if (wish.show == Show::nothing) write_all(BorrowedFd{STDOUT_FILENO}, reference + "\n");
    return 0;
}

}  // namespace berth::cli
