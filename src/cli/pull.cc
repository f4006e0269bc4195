// `berth pull`: an image from a registry.
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/progress.h"

namespace berth::cli {
namespace {

constexpr std::array kFlags{Flag{"platform"}};

}  // namespace

int pull_command(const Invocation& invocation) {
    const Flags flags = Flags::parse(invocation.arguments, kFlags, Positionals::anywhere);
    flags.require(1, "pull [FLAGS] NAME[:TAG|@DIGEST]");
    pull_image(invocation.host, flags.positionals().front(), flags.get("platform"));
    return 0;
}

}  // namespace berth::cli
